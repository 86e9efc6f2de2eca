//! Shards behind users and passwords.

use anyhow::Result;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::wait::{SOON, eventually};
use serde_json::json;

/// A server that demands a password of everybody, and knows a user who may do everything with the gateway's keys.
async fn server() -> Result<RedisServer> {
    let user = "gateway on >secret-of-the-gateway ~campanile:* &campanile:* +@all -@dangerous +info +restore";
    RedisServer::start_with(RedisOptions {
        password: Some("secret-of-the-owner".to_owned()),
        extra: vec![("user".to_owned(), user.to_owned())],
        ..RedisOptions::default()
    })
    .await
}

fn config(shard: &str, store: &RedisServer) -> GatewayConfig {
    GatewayConfig::default()
        .set("engine.type", "redis")
        .set("shards", json!([{ "name": "one", "url": shard }]))
        .set("cluster.store", store.url())
        .namespace("room", &json!({ "history_size": 10, "history_ttl": "60s" }))
}

#[tokio::test]
async fn a_shard_is_used_as_the_user_in_its_url() -> Result<()> {
    let (server, store) = (server().await?, RedisServer::start().await?);
    let url = format!(
        "redis://gateway:secret-of-the-gateway@127.0.0.1:{}",
        server.port()
    );
    let gateway = Gateway::start(&config(&url, &store)).await?;
    gateway.api().publish("room:1", &json!(1)).await?;
    assert_eq!(gateway.api().history("room:1").await?, [json!(1)]);
    for place in [
        gateway.process().log(),
        gateway.ready().await?.1.to_string(),
        gateway.get("/metrics").await?.1,
    ] {
        assert!(
            !place.contains("secret-of-the-gateway"),
            "the password is told to nobody: {place}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_by_readiness() -> Result<()> {
    let (server, store) = (server().await?, RedisServer::start().await?);
    let url = format!("redis://gateway:wrong-secret@127.0.0.1:{}", server.port());
    let gateway = Gateway::launch(&config(&url, &store)).await?;
    eventually("/ready names the shard and why", SOON, || async {
        gateway.ready().await.is_ok_and(|(ready, body)| {
            let body = body.to_string();
            !ready && body.contains("one") && body.to_lowercase().contains("password")
        })
    })
    .await;
    assert!(
        !gateway.process().log().contains("wrong-secret"),
        "the password is told to nobody"
    );
    Ok(())
}
