//! The harness itself: what the other tests take for granted.

use anyhow::Result;
use campanile_tests::balancer::Balancer;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::wait::{SOON, eventually};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn redis_keeps_its_append_only_file_across_a_kill() -> Result<()> {
    let options = RedisOptions {
        append_only: Some("always"),
        ..RedisOptions::default()
    };
    let mut redis = RedisServer::start_with(options).await?;
    redis.command::<()>(&["SET", "a", "1"]).await?;
    redis.kill();
    redis.restart().await?;
    assert_eq!(redis.command::<String>(&["GET", "a"]).await?, "1");
    redis.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_replica_follows() -> Result<()> {
    let password = Some("secret".to_owned());
    let primary = RedisServer::start_with(RedisOptions {
        password: password.clone(),
        ..RedisOptions::default()
    })
    .await?;
    let options = RedisOptions {
        password,
        replica_of: Some(primary.port()),
        ..RedisOptions::default()
    };
    let replica = RedisServer::start_with(options).await?;
    replica.wait_for_replication().await;
    primary.command::<()>(&["SET", "a", "1"]).await?;
    eventually("the replica has the key", SOON, || async {
        replica
            .command::<Option<String>>(&["GET", "a"])
            .await
            .is_ok_and(|it| it.as_deref() == Some("1"))
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_balancer_cuts_and_leads_elsewhere() -> Result<()> {
    let (first, second) = (greeter("1").await?, greeter("2").await?);
    let balancer = Balancer::start(&first).await?;
    let address = balancer
        .websocket_url()
        .replace("ws://", "")
        .replace("/connection/websocket", "");

    let mut connection = TcpStream::connect(&address).await?;
    assert_eq!(connection.read_u8().await?, b'1');
    balancer.cut();
    assert!(connection.read_u8().await.is_err(), "the open connection ends");
    assert!(
        TcpStream::connect(&address).await?.read_u8().await.is_err(),
        "a new one is closed"
    );

    balancer.point_to(&second);
    assert_eq!(TcpStream::connect(&address).await?.read_u8().await?, b'2');
    Ok(())
}

#[tokio::test]
async fn every_sdk_starts_and_reports_that_nobody_is_there() -> Result<()> {
    let port = { TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port() };
    for sdk in Sdk::ALL {
        let puppet = Puppet::start(sdk)?;
        let url = format!("ws://127.0.0.1:{port}/connection/websocket");
        puppet.call(json!({ "do": "connect", "url": url })).await?;
        puppet.event("connecting", |_| true).await;
        puppet.event("error", |_| true).await;
        puppet.call(json!({ "do": "disconnect" })).await?;
        puppet.event("disconnected", |_| true).await;
    }
    Ok(())
}

/// A server that says one word to each who connects, and gives its address.
async fn greeter(word: &'static str) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            if connection.write_all(word.as_bytes()).await.is_ok() {
                kept.push(connection);
            }
        }
    });
    Ok(address)
}
