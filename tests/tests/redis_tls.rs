//! Shards, store and Sentinels behind TLS, with certificates of clients, and what is said when certificates are wrong.

use std::process::Command;

use anyhow::{Context as _, Result};
use campanile_tests::authority::Authority;
use campanile_tests::gateway::{Gateway, GatewayConfig, binary};
use campanile_tests::redis::{RedisOptions, RedisServer, free_port};
use campanile_tests::sentinel::{Sentinels, Service};
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

/// The name in the servers' certificates.
const NAME: &str = "redis.test";

/// What makes a server, or a Sentinel, speak TLS alone with clients that show a certificate of the authority; the tests look
/// on over a port of their own.
fn settings(authority: &Authority) -> Vec<(String, String)> {
    let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![
        of("tls-cert-file", &authority.file("server.crt")),
        of("tls-key-file", &authority.file("server.key")),
        of("tls-ca-cert-file", &authority.file("ca.pem")),
        of("tls-auth-clients", "yes"),
    ]
}

/// A server with a port for TLS beside the one without: that port.
async fn server(authority: &Authority, options: RedisOptions) -> Result<(RedisServer, u16)> {
    let mut options = options;
    options.extra.extend(settings(authority));
    let server = RedisServer::start_with(options).await?;
    // Somebody else may be quicker to take it.
    for _ in 0..10 {
        let port = free_port()?;
        let words = ["CONFIG", "SET", "tls-port", &port.to_string()];
        if server.command::<()>(&words).await.is_ok() {
            return Ok((server, port));
        }
    }
    anyhow::bail!("no port is free")
}

/// A Sentinel with a port for TLS beside the one without: that port.
async fn sentinels(service: Service<'_>, lines: &str) -> Result<(Sentinels, u16)> {
    let mut failure = None;
    for _ in 0..3 {
        let port = free_port()?;
        match Sentinels::start(1, &[service], &format!("{lines}\ntls-port {port}")).await {
            Ok(sentinels) => return Ok((sentinels, port)),
            // It does not start if somebody else was quicker to take that port.
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.context("at least one attempt")?)
}

fn authority() -> Result<Authority> {
    let authority = Authority::new()?;
    authority.issue("server", &[NAME])?;
    authority.issue("client", &["gateway"])?;
    Ok(authority)
}

fn config(shard: &str, store: &str, tls: Value) -> GatewayConfig {
    GatewayConfig::default()
        .set("shards", json!([{ "name": "one", "url": shard }]))
        .set("cluster.store", store)
        .set("redis.tls", tls)
        .namespace("room", &json!({ "history_size": 10, "history_ttl": "60s" }))
}

fn whole(authority: &Authority) -> Value {
    json!({
        "server_ca_pem": authority.file("ca.pem"),
        "cert_pem": authority.file("client.crt"),
        "key_pem": authority.file("client.key"),
        "server_name": NAME,
    })
}

/// Publishes, and reads it again.
async fn use_it(gateway: &Gateway) -> Result<()> {
    gateway.api().publish("room:1", &json!("sealed")).await?;
    let history = gateway.api().history("room:1").await?;
    assert_eq!(history.last(), Some(&json!("sealed")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_want_certificates_of_their_clients_are_used() -> Result<()> {
    let authority = authority()?;
    let (shard, port) = server(&authority, RedisOptions::default()).await?;
    let (_store, store) = server(&authority, RedisOptions::default()).await?;
    let url = |port: u16| format!("rediss://127.0.0.1:{port}");
    let gateway = Gateway::start(&config(&url(port), &url(store), whole(&authority))).await?;
    use_it(&gateway).await?;

    // Certificates of another authority, in the same files: used by the next connections, without a restart.
    let successor = self::authority()?;
    for file in ["ca.pem", "client.crt", "client.key"] {
        std::fs::copy(successor.file(file), authority.file(file))?;
    }
    let mut words = vec!["CONFIG".to_owned(), "SET".to_owned()];
    let settings = settings(&successor)
        .into_iter()
        .filter(|(key, _)| key.ends_with("-file"));
    words.extend(settings.flat_map(|(key, file)| [key, file]));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shard.command::<()>(&words).await?;
    shard
        .command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"])
        .await?;
    shard
        .command::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await?;
    eventually("the gateway publishes with its new certificate", SOON, || async {
        use_it(&gateway).await.is_ok()
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_certificates_is_said_with_what_to_do() -> Result<()> {
    let authority = authority()?;
    let (_shard, port) = server(&authority, RedisOptions::default()).await?;
    let store = RedisServer::start().await?;
    let stranger = self::authority()?;
    let without = |keys: &[&str]| {
        let mut tls = whole(&authority);
        for key in keys {
            tls.as_object_mut().expect("an object").remove(*key);
        }
        tls
    };
    let mut foreign = whole(&authority);
    foreign["cert_pem"] = json!(stranger.file("client.crt"));
    foreign["key_pem"] = json!(stranger.file("client.key"));
    let cases = [
        (without(&["server_ca_pem"]), "redis.tls.server_ca_pem"),
        (without(&["server_name"]), "is not for 127.0.0.1"),
        (
            without(&["cert_pem", "key_pem"]),
            "redis.tls.cert_pem and redis.tls.key_pem",
        ),
        (foreign, "tls-ca-cert-file"),
    ];
    for (tls, words) in cases {
        let config = config(&format!("rediss://127.0.0.1:{port}"), &store.url(), tls);
        let gateway = Gateway::launch(&config).await?;
        eventually(format!("/ready says {words}"), SOON, || async {
            let ready = gateway.ready().await;
            ready.is_ok_and(|(_, body)| body.to_string().contains(words))
        })
        .await;
    }
    Ok(())
}

#[test]
fn a_certificate_that_cannot_be_read_ends_the_start() -> Result<()> {
    let authority = authority()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("campanile.json");
    for (key, value, words) in [
        (
            "server_ca_pem",
            json!("/nowhere/ca.pem"),
            "cannot read the certificate of the authority in /nowhere/ca.pem",
        ),
        (
            "cert_pem",
            json!(authority.file("client.key")),
            "there is no client's certificate in",
        ),
        (
            "key_pem",
            json!(authority.file("server.key")),
            "do they belong together?",
        ),
        ("server_name", json!("not a name"), "is no name of a server"),
    ] {
        let mut tls = whole(&authority);
        tls[key] = value;
        std::fs::write(
            &path,
            config("rediss://127.0.0.1:1", "redis://127.0.0.1:1", tls).text(),
        )?;
        for arguments in [&["--config"][..], &["checkconfig", "--config"][..]] {
            let output = Command::new(binary()?).args(arguments).arg(&path).output()?;
            assert_eq!(output.status.code(), Some(13), "{arguments:?}");
            let said = String::from_utf8(output.stderr)?;
            let line = said.lines().find(|line| line.contains("redis.tls"));
            let line = line.with_context(|| format!("redis.tls is not named: {said}"))?;
            assert!(line.contains(words), "{line}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_what_they_watch_are_reached_through_tls() -> Result<()> {
    let authority = authority()?;
    let (_primary, port) = server(&authority, RedisOptions::default()).await?;
    let store = RedisServer::start().await?;
    let lines: Vec<String> = settings(&authority)
        .iter()
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    let lines = format!("{}\ntls-replication yes", lines.join("\n"));
    let service = Service {
        name: "shard",
        port,
        password: "",
        replicas: 0,
    };
    let (_sentinels, sentinel_port) = sentinels(service, &lines).await?;
    let url = format!("rediss+sentinel://127.0.0.1:{sentinel_port}/shard");
    let gateway = Gateway::start(&config(&url, &store.url(), whole(&authority))).await?;
    use_it(&gateway).await?;
    let address = gateway.ready().await?.1["shards"][0]["address"].clone();
    assert_eq!(address, json!(format!("127.0.0.1:{sentinel_port}/shard")));
    Ok(())
}
