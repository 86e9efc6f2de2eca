//! The list of shards of a running gateway: the file is watched, and looked at on SIGHUP; what it says gets into the topology.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::RedisServer;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

/// The stored topology.
async fn topology(store: &RedisServer) -> Result<Value> {
    let document: String = store.command(&["HGET", "campanile:topology", "document"]).await?;
    Ok(serde_json::from_str(&document)?)
}

/// The names of the shards that are wanted.
async fn wanted(store: &RedisServer) -> Vec<String> {
    let topology = topology(store).await.unwrap_or_default();
    let wanted = topology["wanted"].as_object();
    wanted
        .map(|list| list.keys().cloned().collect())
        .unwrap_or_default()
}

/// The configuration with one more shard, `name`.
fn with_shard(config: &GatewayConfig, name: &str, url: &str) -> Result<GatewayConfig> {
    let text: Value = serde_json::from_str(&config.text())?;
    let mut shards = text["shards"].as_array().context("a list of shards")?.clone();
    shards.push(json!({ "name": name, "url": url }));
    Ok(config.clone().set("shards", shards))
}

/// Replaces the gateway's file in one step.
fn rewrite(gateway: &Gateway, text: &str) -> Result<()> {
    let new = gateway.dir().join("new.json");
    std::fs::write(&new, text)?;
    std::fs::rename(new, gateway.dir().join("campanile.json"))?;
    Ok(())
}

async fn notes(gateway: &Gateway) -> Vec<String> {
    let (_, ready) = gateway.ready().await.unwrap_or_default();
    let notes = ready["notes"].as_array().into_iter().flatten();
    notes
        .filter_map(|note| note.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_added_to_the_file_is_wanted_and_becomes_one_of_the_topology() -> Result<()> {
    let cluster = Cluster::builder().shards(3).gateways(2).start().await?;
    eventually("the gateways' list is wanted", SOON, || async {
        wanted(&cluster.store).await == ["redis-1", "redis-2", "redis-3"]
    })
    .await;
    let fourth = RedisServer::start().await?;
    let config = with_shard(cluster.config(), "redis-4", &fourth.url())?;
    rewrite(&cluster.gateways[0], &config.text())?;
    eventually("the new list is wanted", SOON, || async {
        wanted(&cluster.store).await == ["redis-1", "redis-2", "redis-3", "redis-4"]
    })
    .await;
    eventually("the new shard is one of the topology", SOON, || async {
        let topology = topology(&cluster.store).await.unwrap_or_default();
        let mut shards = topology["shards"].as_array().into_iter().flatten();
        shards.any(|shard| shard["id"] == "redis-4")
    })
    .await;
    eventually(
        "the other gateway says that its list is an old one",
        SOON,
        || async {
            let notes = notes(&cluster.gateways[1]).await;
            notes.iter().any(|note| note.contains("redis-4"))
        },
    )
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_changes_nothing_and_what_needs_a_restart_is_named() -> Result<()> {
    let mut cluster = Cluster::builder().shards(2).gateways(1).start().await?;
    let good = cluster.config().clone().set("node.name", "gateway-1");
    let gateway = &cluster.gateways[0];
    rewrite(
        gateway,
        &good.clone().set("shards", json!([{ "name": "x" }])).text(),
    )?;
    gateway.process().hang_up();
    eventually("the bad file is noted", SOON, || async {
        let notes = notes(gateway).await;
        notes.iter().any(|note| note.contains("shards[0].url"))
    })
    .await;
    let (ready, _) = gateway.ready().await?;
    assert!(ready, "a note keeps no gateway from being ready");
    rewrite(gateway, &good.set("client.channel_limit", 7).text())?;
    gateway.process().hang_up();
    eventually(
        "what needs a restart is named, and nothing else",
        SOON,
        || async {
            let notes = notes(gateway).await;
            notes == ["the configuration file has changed; needs a restart: client.channel_limit"]
        },
    )
    .await;
    assert_eq!(wanted(&cluster.store).await, ["redis-1", "redis-2"]);
    assert!(cluster.gateways[0].process_mut().is_running());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_reaches_nothing_any_more_ends_in_time() -> Result<()> {
    let mut cluster = Cluster::builder()
        .shards(2)
        .gateways(1)
        .set("shutdown.timeout", "4s")
        .set("shutdown.spread", "1s")
        .set("cluster.command_timeout", "30s")
        .start()
        .await?;
    for server in cluster.shards.iter().chain([&cluster.store]) {
        server.pause();
    }
    // Twice what it may take: the machine may be busy.
    let status = cluster.gateways[0]
        .process_mut()
        .terminate(Duration::from_secs(8))
        .await;
    for server in cluster.shards.iter().chain([&cluster.store]) {
        server.resume();
    }
    assert_eq!(status?.code(), Some(0));
    Ok(())
}
