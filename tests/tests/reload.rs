//! A new version of the configuration, mounted as Kubernetes mounts a ConfigMap: what can be is taken over while clients stay, the
//! rest is named, and of a version with a mistake nothing counts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use campanile_tests::api::Api;
use campanile_tests::gateway::{API_KEY, Gateway, GatewayConfig};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Handshake, Transport, Wire};
use serde_json::{Value, json};

const NEW_KEY: &str = "another-api-key-of-the-tests";
const NEW_SECRET: &str =
    "another-token-secret-of-the-tests-that-is-long-enough-for-each-algorithm-of-the-family";
const NEW_ORIGIN: &str = "https://new.example";

/// A folder in which a link, `..data`, leads to the folder with the files that count; the files themselves are links through it.
struct ConfigMap {
    dir: PathBuf,
    version: usize,
}

impl ConfigMap {
    /// Puts the file of a running gateway into such a folder, as it is.
    fn mount(gateway: &Gateway, config: &GatewayConfig) -> Result<Self> {
        let mut map = Self {
            dir: gateway.dir().to_owned(),
            version: 0,
        };
        map.update(&config.text())?;
        symlink("..data/campanile.json", map.dir.join("link"))?;
        fs::rename(map.dir.join("link"), map.dir.join("campanile.json"))?;
        Ok(map)
    }

    /// Another version, which takes the place of the one before in one step.
    fn update(&mut self, text: &str) -> Result<()> {
        self.version += 1;
        let folder = format!("..version-{}", self.version);
        fs::create_dir(self.dir.join(&folder))?;
        fs::write(self.dir.join(&folder).join("campanile.json"), text)?;
        symlink(&folder, self.dir.join("..data_tmp"))?;
        fs::rename(self.dir.join("..data_tmp"), self.dir.join("..data"))?;
        Ok(())
    }
}

fn namespace() -> Value {
    json!({
        "history_size": 10,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    })
}

fn config() -> GatewayConfig {
    let config = GatewayConfig::default().set("log.level", "info");
    config.namespace("old", &namespace())
}

async fn connect(gateway: &Gateway, secret: &str) -> Result<Wire> {
    let claims = json!({ "sub": "ann", "exp": token::seconds_from_now(3600) });
    let endpoint = gateway.endpoint(Transport::WebSocket);
    Wire::connect(endpoint, &token::sign(&claims, secret)).await
}

/// Whether a page of that origin may connect.
async fn lets_in(gateway: &Gateway, origin: &str) -> bool {
    let handshake = Handshake {
        origin: Some(origin),
        ..Handshake::default()
    };
    let endpoint = gateway.endpoint(Transport::WebSocket);
    Wire::open_with(endpoint, handshake).await.is_ok()
}

async fn reloads(gateway: &Gateway, outcome: &str) -> Result<u64> {
    let metrics = gateway.metrics().await?;
    Ok(metrics.count("campanile_config_reloads_total", &[("outcome", outcome)]))
}

async fn taken_over(gateway: &Gateway, times: u64) {
    eventually("the new version is taken over", SOON, || async {
        reloads(gateway, "applied")
            .await
            .is_ok_and(|count| count == times)
    })
    .await;
}

/// The lines of the log in which all of these are.
fn lines(gateway: &Gateway, words: &[&str]) -> Vec<String> {
    let log = gateway.process().log();
    let found = log
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)));
    found.map(str::to_owned).collect()
}

#[tokio::test]
async fn what_can_be_is_taken_over_and_running_sessions_stay() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let mut map = ConfigMap::mount(&gateway, &config())?;
    let mut running = connect(&gateway, token::SECRET).await?;
    running.subscribe("old:a").await?;
    assert!(
        running.subscribe("new:a").await.is_err(),
        "there is no such namespace"
    );
    assert!(connect(&gateway, NEW_SECRET).await.is_err());
    assert!(!lets_in(&gateway, NEW_ORIGIN).await);
    assert!(
        lines(&gateway, &["connection closed"]).is_empty(),
        "that is for debug"
    );

    let new = config()
        .namespace("new", &namespace())
        .set("client.token.hmac_secret_key", NEW_SECRET)
        .set("client.allowed_origins", json!([NEW_ORIGIN]))
        .set("http_api.key", NEW_KEY)
        .set("log.level", "debug");
    map.update(&new.text())?;
    taken_over(&gateway, 1).await;
    let said = lines(&gateway, &["the configuration file has changed"]);
    let keys =
        "channel.namespaces, client.allowed_origins, client.token.hmac_secret_key, http_api.key, log.level";
    assert!(said.len() == 1 && said[0].contains(keys), "{said:?}");
    assert!(
        !said[0].contains(NEW_KEY) && !said[0].contains(NEW_SECRET),
        "{said:?}"
    );

    let (old_api, api) = (gateway.api(), Api::new(gateway.url(), NEW_KEY));
    assert_eq!(old_api.post("info", "{}").await?.0, 401);
    assert!(
        connect(&gateway, token::SECRET).await.is_err(),
        "the key counts no more"
    );
    let mut late = connect(&gateway, NEW_SECRET).await?;
    assert!(lets_in(&gateway, NEW_ORIGIN).await);
    running
        .subscribe("new:a")
        .await
        .context("a session from before")?;
    late.subscribe("new:a").await?;
    for channel in ["old:a", "new:a"] {
        api.publish(channel, &json!(channel)).await?;
        assert_eq!(running.publication().await?.1["data"], channel);
    }
    assert_eq!(late.publication().await?.1["data"], "new:a");
    drop((running, late));
    eventually("what is for debug is logged", SOON, || async {
        !lines(&gateway, &["connection closed"]).is_empty()
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn what_a_namespace_says_from_now_on_counts_for_what_comes_then() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let mut map = ConfigMap::mount(&gateway, &config())?;
    let api = gateway.api();
    let mut running = connect(&gateway, token::SECRET).await?;
    let before = running.subscribe("old:a").await?;
    assert_eq!(before["recoverable"], true, "{before}");
    let closed = json!([{ "name": "old" }]);
    map.update(&config().set("channel.namespaces", closed).text())?;
    taken_over(&gateway, 1).await;

    // The subscription goes on; a new one is another matter, and so is the stream, which nobody keeps any more.
    api.publish("old:a", &json!(1)).await?;
    assert_eq!(running.publication().await?.1["data"], 1);
    assert!(running.subscribe("old:b").await.is_err(), "nobody may");
    let history = api.try_call("history", &json!({ "channel": "old:a" })).await?;
    assert_eq!(history.map_err(|error| error.code), Err(108));

    map.update(&config().set("channel.namespaces", json!([])).text())?;
    taken_over(&gateway, 2).await;
    let gone = api
        .try_call("publish", &json!({ "channel": "old:a", "data": 2 }))
        .await?;
    assert_eq!(gone.map_err(|error| error.code), Err(102));
    assert!(running.is_alive().await);
    Ok(())
}

#[tokio::test]
async fn of_a_version_with_a_mistake_nothing_counts_and_it_is_told_once() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let mut map = ConfigMap::mount(&gateway, &config())?;
    let new = config().set("http_api.key", NEW_KEY);
    map.update(&new.clone().set("client.chanel_limit", 5).text())?;
    eventually("the mistake is counted", SOON, || async {
        reloads(&gateway, "refused").await.is_ok_and(|count| count == 1)
    })
    .await;
    let said = lines(
        &gateway,
        &["ERROR", "client.chanel_limit", "client.channel_limit"],
    );
    assert_eq!(said.len(), 1, "one line, with what was meant: {said:?}");
    let (ready, body) = gateway.ready().await?;
    let notes = body["notes"].to_string();
    assert!(ready && notes.contains("client.chanel_limit"), "{body}");
    assert_eq!(Api::new(gateway.url(), NEW_KEY).post("info", "{}").await?.0, 401);
    gateway.api().call("info", &json!({})).await?;

    map.update(&new.text())?;
    taken_over(&gateway, 1).await;
    assert_eq!(gateway.api().post("info", "{}").await?.0, 401);
    Api::new(gateway.url(), NEW_KEY).call("info", &json!({})).await?;
    assert_eq!(gateway.ready().await?.1["notes"], json!([]));
    assert_eq!(reloads(&gateway, "refused").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_needs_a_restart_is_named_beside_what_was_taken_over() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let new = config()
        .set("http_api.key", NEW_KEY)
        .set("client.queue_max_size", 1000)
        .set("shutdown.spread", "1s");
    // A plain file this time, and a signal so that it counts at once.
    let file = gateway.dir().join("campanile.json");
    fs::write(gateway.dir().join("new.json"), new.text())?;
    fs::rename(gateway.dir().join("new.json"), &file)?;
    gateway.process().hang_up();
    taken_over(&gateway, 1).await;
    let said = lines(&gateway, &["the configuration file has changed"]);
    let named = |line: &str| {
        ["http_api.key", "client.queue_max_size, shutdown.spread"]
            .iter()
            .all(|keys| line.contains(keys))
    };
    assert!(said.len() == 1 && named(&said[0]), "{said:?}");
    assert_eq!(
        gateway.api().post("info", "{}").await?.0,
        401,
        "{API_KEY} is no more"
    );
    let waits = gateway.metrics().await?;
    assert_eq!(waits.count("campanile_config_restart_needed", &[]), 1);

    gateway.process().hang_up();
    eventually("it is told that there is nothing new", SOON, || async {
        !lines(&gateway, &["the configuration file has not changed"]).is_empty()
    })
    .await;
    Ok(())
}
