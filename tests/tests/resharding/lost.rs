//! A shard is gone for good, and comes back later with what it had.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use campanile_shard_router::topology::{ShardId, ShardState, Topology};
use campanile_tests::puppet::Sdk;
use campanile_tests::redis::RedisOptions;
use campanile_tests::wait::eventually;
use serde_json::json;

use crate::load::Pace;
use crate::world::{MOVED, World};

/// With keys, so that what was not answered can be made again.
const INSISTENT: Pace = Pace {
    rate: 400,
    keyed: true,
};

fn is_lost(topology: &Topology, shard: &str) -> bool {
    let entry = topology.shards.get(&ShardId::new(shard));
    entry.is_none_or(|entry| entry.state == ShardState::Lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_lost_histories_are_told_and_never_served_again() -> Result<()> {
    let on_disk = RedisOptions {
        append_only: Some("everysec"),
        ..RedisOptions::default()
    };
    let cluster = World::cluster(0)
        .shard(on_disk, json!({}))
        .shards(2)
        .set("cluster.evict_after", "3s");
    let mut world = World::start(cluster, 300).await?;
    let load = world.publish(INSISTENT);
    world.round(&load).await;
    let away = world.watch("away", Sdk::JsJson, 2, world.streams.clone()).await?;
    world.round(&load).await;
    away.leave().await?;
    away.forget().await?;
    for watcher in &world.watchers {
        watcher.forget().await?;
    }

    let before = world.topology().await?;
    world.cluster.shards[0].kill();
    let published = load.books().accepted;
    eventually("the shard is evicted", MOVED, || async {
        world.topology().await.is_ok_and(|it| is_lost(&it, "redis-1"))
    })
    .await;
    world.moved().await;
    world.round(&load).await;
    for watcher in &world.watchers {
        let streams: Vec<String> = watcher
            .channels
            .iter()
            .filter(|it| it.starts_with("stream:"))
            .cloned()
            .collect();
        let gone = World::on(&before, "redis-1", &streams);
        watcher.subscribed().await;
        let report = watcher.report().await?;
        assert_eq!(report.channels("lost"), gone, "{}: {report:?}", watcher.name);
        assert_eq!(report.count("disconnects"), 0, "{}: {report:?}", watcher.name);
        assert!(
            report.channels("recovered").is_empty(),
            "{}: {report:?}",
            watcher.name
        );
        // A message without a stream whose answer was lost with the shard may come twice: the key was lost as well.
        let excused = World::on(&before, "redis-1", &watcher.channels);
        let wrong = report.channels("wrong");
        assert!(wrong.is_subset(&excused), "{}: {report:?}", watcher.name);
    }

    world.cluster.shards[0].restart().await?;
    eventually("the shard is used again", MOVED, || async {
        let owns = |shares: BTreeMap<String, u64>| shares["redis-1"] > 0;
        world.shares().await.is_ok_and(owns)
    })
    .await;
    world.moved().await;
    world.round(&load).await;
    let books = world.settle(load).await;

    let gone = World::on(&before, "redis-1", &world.streams);
    let kept: BTreeSet<String> = world
        .streams
        .iter()
        .filter(|it| !gone.contains(*it))
        .cloned()
        .collect();
    let report = away.come_back().await?;
    assert_eq!(report.channels("lost"), gone, "{report:?}");
    assert_eq!(report.channels("recovered"), kept, "{report:?}");
    for channel in &gone {
        let history = world.apis()[0].history(channel).await?;
        let numbers: Vec<u64> = history.iter().filter_map(|data| data["n"].as_u64()).collect();
        let old = published[channel];
        assert!(
            numbers.iter().all(|number| *number > old),
            "{channel}, lost at {old}: {numbers:?}"
        );
        assert_eq!(numbers.last(), books.accepted.get(channel), "{channel}");
    }
    Ok(())
}
