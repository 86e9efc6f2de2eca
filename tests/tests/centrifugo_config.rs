//! A team's Centrifugo v6 file starts, and says what it no longer means.

use std::process::Command;

use anyhow::Result;
use campanile_tests::api::Api;
use campanile_tests::gateway::{Gateway, binary};
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::redis::RedisServer;
use campanile_tests::token;
use campanile_tests::wait::SOON;
use serde_json::{Value, json};

/// A file as it might run in production, with much that has no meaning here.
fn file() -> Value {
    json!({
        "http_server": { "address": "127.0.0.1", "port": 0, "tls": { "enabled": false } },
        "log": { "level": "info", "file": "/var/log/centrifugo.log" },
        "client": {
            "allowed_origins": ["https://example.com"],
            "token": {
                "hmac_secret_key": token::SECRET,
                "jwks_public_endpoint": "",
            },
            "ping_interval": "10s",
            "pong_timeout": "5s",
            "queue_max_size": 262_144,
            "proxy": { "connect": { "enabled": false, "endpoint": "http://localhost:3000/connect", "timeout": "1s" } },
        },
        "channel": {
            "history_meta_ttl": "48h",
            "without_namespace": { "allow_subscribe_for_client": true },
            "namespaces": [{
                "name": "chat",
                "presence": true,
                "join_leave": true,
                "history_size": 50,
                "history_ttl": "1m30s",
                "force_recovery": true,
                "allow_subscribe_for_client": true,
                "allow_publish_for_subscriber": true,
                "delta_publish": false,
                "allowed_delta_types": ["fossil"],
            }],
        },
        "http_api": { "key": "their-key" },
        "admin": { "enabled": true, "password": "their-password", "secret": "s" },
        "usage_stats": { "disabled": true },
        "sse": { "enabled": true },
        "grpc_api": { "enabled": true, "port": 10000 },
    })
}

#[tokio::test]
async fn a_centrifugo_file_starts_and_names_what_it_ignores() -> Result<()> {
    let mut gateway = Gateway::launch_file("centrifugo.json", &file().to_string(), &[]).await?;
    gateway.wait_until_ready().await;
    let log = gateway.process().log();
    for key in [
        "log.file",
        "usage_stats",
        "sse",
        "grpc_api",
        "allowed_delta_types",
    ] {
        let told = log
            .lines()
            .any(|line| line.contains(key) && line.contains("WARN"));
        assert!(told, "nothing is said about {key}");
    }
    for key in [
        "hmac_secret_key",
        "ping_interval",
        "history_meta_ttl",
        "force_recovery",
    ] {
        assert!(!log.contains(key), "{key} is known");
    }
    assert!(
        !log.contains(token::SECRET) && !log.contains("their-key"),
        "secrets are not logged"
    );
    use_it(&gateway).await
}

#[test]
fn a_key_that_nobody_knows_stops_the_start_and_is_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("centrifugo.json");
    let mut file = file();
    file["client"]["ping_intervall"] = json!("10s");
    std::fs::write(&path, file.to_string())?;
    for arguments in [&["--config"][..], &["checkconfig", "--config"][..]] {
        let output = Command::new(binary()?).args(arguments).arg(&path).output()?;
        assert!(!output.status.success(), "{arguments:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("client.ping_intervall") && said.contains("client.ping_interval?"),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn its_redis_addresses_become_shards() -> Result<()> {
    let servers = [RedisServer::start().await?, RedisServer::start().await?];
    let mut file = file();
    file["engine"] =
        json!({ "type": "redis", "redis": { "address": servers.each_ref().map(RedisServer::url) } });
    let mut gateway = Gateway::launch_file("centrifugo.json", &file.to_string(), &[]).await?;
    gateway.wait_until_ready().await;
    use_it(&gateway).await?;
    let api = Api::new(gateway.url(), "their-key");
    for number in 0..50 {
        api.publish(&format!("chat:{number}"), &Value::Null).await?;
    }
    for server in &servers {
        let keys = server
            .command::<Vec<String>>(&["KEYS", "*:stream:chat:*"])
            .await?;
        assert!(keys.len() > 5, "both hold channels: {keys:?}");
    }
    Ok(())
}

#[tokio::test]
async fn yaml_and_toml_say_the_same() -> Result<()> {
    let yaml = format!(
        "http_server: {{ address: 127.0.0.1, port: 0 }}\nhttp_api: {{ key: their-key }}\nclient:\n  token:\n    \
         hmac_secret_key: {}\nchannel:\n  namespaces:\n    - name: chat\n      presence: true\n      join_leave: true\n      \
         history_size: 50\n      history_ttl: 1m30s\n      force_recovery: true\n      \
         allow_subscribe_for_client: true\n      allow_publish_for_subscriber: true\n",
        token::SECRET
    );
    let toml = format!(
        "[http_server]\naddress = '127.0.0.1'\nport = 0\n[http_api]\nkey = 'their-key'\n[client.token]\n\
         hmac_secret_key = '{}'\n[[channel.namespaces]]\nname = 'chat'\npresence = true\njoin_leave = true\n\
         history_size = 50\nhistory_ttl = '1m30s'\nforce_recovery = true\nallow_subscribe_for_client = true\n\
         allow_publish_for_subscriber = true\n",
        token::SECRET
    );
    for (name, text) in [("c.yaml", yaml), ("c.toml", toml)] {
        let mut gateway = Gateway::launch_file(name, &text, &[]).await?;
        gateway.wait_until_ready().await;
        use_it(&gateway).await?;
    }
    Ok(())
}

/// Their application goes on as before.
async fn use_it(gateway: &Gateway) -> Result<()> {
    let client = Puppet::start(Sdk::JsJson)?;
    client
        .connect(&gateway.websocket_url(), &token::connection("ann"))
        .await?;
    client.subscribe("chat:room").await?;
    client.publish("chat:room", &json!("hello")).await?;
    Api::new(gateway.url(), "their-key")
        .publish("chat:room", &json!("from the backend"))
        .await?;
    for text in ["hello", "from the backend"] {
        client
            .event_within(SOON, "publication", |event| event["data"] == text)
            .await;
    }
    Ok(())
}
