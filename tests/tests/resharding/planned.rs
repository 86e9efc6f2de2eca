//! Planned moves: nobody notices anything.

use std::collections::BTreeSet;

use anyhow::Result;
use campanile_tests::puppet::Sdk;
use serde_json::json;

use crate::load::Pace;
use crate::world::{CHANNELS_OF_EACH_KIND, World};

const PARTITIONS: f64 = 4096.0;

/// Without keys: every error would count.
pub(crate) const STEADY: Pace = Pace {
    rate: 800,
    keyed: false,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_joins_and_the_first_is_drained_and_nobody_notices() -> Result<()> {
    let mut world = World::start(World::cluster(3), CHANNELS_OF_EACH_KIND).await?;
    let load = world.publish(STEADY);
    world.round(&load).await;
    let away = world
        .watch("away", Sdk::JsJson, 2, world.streams[..200].to_vec())
        .await?;
    world.round(&load).await;
    away.leave().await?;
    away.forget().await?;
    for watcher in &world.watchers {
        watcher.forget().await?;
    }
    world.watch_over_each_transport().await?;

    let (_spare, fourth) = world.spare("redis-4").await?;
    let before = world.shares().await?;
    world.ask("add", fourth).await?;
    world.moved().await;
    let after = world.shares().await?;
    let given = after["redis-4"] as f64;
    assert!(given <= 1.1 * PARTITIONS / 4.0, "{before:?} -> {after:?}");
    for (name, partitions) in &after {
        assert!(
            *partitions as f64 <= (1.05 * PARTITIONS / 4.0).ceil(),
            "{name}: {after:?}"
        );
        let kept = before.get(name).is_none_or(|had| partitions <= had);
        assert!(kept, "{name} was given partitions: {before:?} -> {after:?}");
    }
    world.round(&load).await;

    world.ask("drain", json!({ "name": "redis-1" })).await?;
    world.moved().await;
    let drained = world.shares().await?;
    assert_eq!(drained["redis-1"], 0, "{drained:?}");
    world.round(&load).await;

    let books = world.settle(load).await;
    assert_eq!(books.refusals, 0, "{:?}", books.errors);
    world.nobody_noticed().await?;
    world.print_pauses().await;
    let report = away.come_back().await?;
    away.arrived(&books.accepted).await;
    let own: BTreeSet<String> = away.channels.iter().cloned().collect();
    assert_eq!(report.channels("recovered"), own, "{report:?}");
    assert!(report.channels("wrong").is_empty(), "{report:?}");
    Ok(())
}
