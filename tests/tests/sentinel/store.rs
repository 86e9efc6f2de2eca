//! The topology store behind Sentinel: what it takes to be safe.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Result;
use campanile_shard_router::store::{RedisStore, RedisStoreConfig, StoreError, TopologyStore as _};
use campanile_shard_router::topology::{
    Change, Generation, OpeningContent, ShardEntry, ShardId, ShardState, ShardUrl, Topology,
};
use campanile_tests::gateway::Gateway;
use campanile_tests::redis::RedisServer;
use campanile_tests::sentinel::{PATIENCE, Sentinels, Service};
use campanile_tests::wait::{SOON, eventually};
use serde_json::json;

use super::{PASSWORD, Pair, config};

/// A store that is not in a hurry.
fn open(sentinels: &Sentinels, password: &str) -> Result<RedisStore> {
    Ok(RedisStore::open(RedisStoreConfig {
        command_timeout: Duration::from_secs(10),
        ..RedisStoreConfig::new(&sentinels.url("store", password))
    })?)
}

/// Some topology.
fn document(generation: u64) -> Result<Topology> {
    let shard = ShardId::new("only");
    let entry = ShardEntry {
        url: ShardUrl::default(),
        address: "127.0.0.1:1".to_owned(),
        weight: 1,
        durable: false,
        state: ShardState::Active,
        incarnation: None,
        admitted: Generation(0),
    };
    let change = Change {
        generation: Generation(generation),
        id: generation,
    };
    let placement = vec![(shard.clone(), OpeningContent::Fresh); 4096];
    Ok(Topology::bootstrap(
        change,
        BTreeMap::from([(shard, entry)]),
        placement,
    )?)
}

async fn epoch(sentinels: &Sentinels) -> Result<String> {
    let mut details: HashMap<String, String> = sentinels.command(&["SENTINEL", "MASTER", "store"]).await?;
    Ok(details.remove("config-epoch").unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_watched_anew_is_followed_to_another_server() -> Result<()> {
    let (former, latter) = (RedisServer::start().await?, RedisServer::start().await?);
    let service = Service {
        name: "store",
        port: former.port(),
        password: "",
        replicas: 0,
    };
    // As after seven failovers.
    let sentinels = Sentinels::start(1, &[service], "sentinel config-epoch store 7").await?;
    assert_eq!(epoch(&sentinels).await?, "7");
    let store = open(&sentinels, "")?;
    assert_eq!(store.next_token().await?.0, 1);

    latter
        .command::<()>(&["SET", "campanile:token", "1000000"])
        .await?;
    sentinels.command_all(&["SENTINEL", "REMOVE", "store"]).await?;
    let port = latter.port().to_string();
    sentinels
        .command_all(&["SENTINEL", "MONITOR", "store", "127.0.0.1", &port, "1"])
        .await?;
    assert_eq!(epoch(&sentinels).await?, "0");
    eventually("tokens come from the other server", PATIENCE, || async {
        store.next_token().await.is_ok_and(|token| token.0 > 1_000_000)
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_no_replica_confirms_counts_only_while_sentinels_stand_by_the_server() -> Result<()> {
    let mut pair = Pair::start().await?;
    let sentinels = Sentinels::start(1, &[pair.service("store")], "").await?;
    let store = open(&sentinels, PASSWORD)?;
    let [first, second, third] = [document(1)?, document(2)?, document(3)?];
    assert!(store.compare_and_set(None, &first).await?);
    pair.replica.kill();
    assert!(store.compare_and_set(Some(&first), &second).await?);
    assert!(store.next_token().await?.0 > 0);

    drop(sentinels);
    let unsure = store.compare_and_set(Some(&second), &third).await;
    assert!(
        matches!(&unsure, Err(StoreError::Unavailable(words)) if words.contains("it may be lost")),
        "{unsure:?}"
    );
    let words = ["HGET", "campanile:topology", "generation"];
    assert_eq!(pair.primary.command::<u64>(&words).await?, 3, "or it may not");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_writes_alone_is_warned_of_until_it_does_not() -> Result<()> {
    const SETTING: &str = "min-replicas-to-write";
    let pair = Pair::start().await?;
    let sentinels = Sentinels::start(1, &[pair.service("store")], "").await?;
    let shard = RedisServer::start().await?;
    let shards = json!([{ "name": "one", "url": shard.url() }]);
    let gateway = Gateway::start(&config(&shards, &sentinels.url("store", PASSWORD))).await?;
    for (replicas, noted) in [("0", true), ("1", false), ("0", true)] {
        let words = ["CONFIG", "SET", SETTING, replicas];
        pair.primary.command::<()>(&words).await?;
        eventually(format!("/ready notes it: {noted}"), SOON, || async {
            let ready = gateway.ready().await;
            ready.is_ok_and(|(ready, body)| ready && body["notes"].to_string().contains(SETTING) == noted)
        })
        .await;
    }
    let log = gateway.process().log();
    let warnings = log
        .lines()
        .filter(|line| line.contains("WARN") && line.contains(SETTING));
    assert_eq!(warnings.count(), 1, "of each primary once: {log}");
    Ok(())
}
