//! `history_on_move = "drop"`: faster moves, and the truth about them.

use std::collections::BTreeSet;

use anyhow::Result;
use campanile_tests::puppet::Sdk;

use crate::planned::STEADY;
use crate::world::{World, owner};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_returns_to_a_moved_channel_is_told_and_nobody_else() -> Result<()> {
    let cluster = World::cluster(3).set("cluster.history_on_move", "drop");
    let world = World::start(cluster, 300).await?;
    let load = world.publish(STEADY);
    world.round(&load).await;
    let away = world
        .watch("away", Sdk::PythonJson, 1, world.streams.clone())
        .await?;
    world.round(&load).await;
    away.leave().await?;
    away.forget().await?;

    let before = world.topology().await?;
    let (_spare, fourth) = world.spare("redis-4").await?;
    world.ask("add", fourth).await?;
    world.moved().await;
    let after = world.topology().await?;
    world.round(&load).await;

    let books = world.settle(load).await;
    assert_eq!(books.refusals, 0, "{:?}", books.errors);
    world.nobody_noticed().await?;
    let moved = |channel: &&String| owner(&before, channel) != owner(&after, channel);
    let (moved, stayed): (BTreeSet<String>, BTreeSet<String>) =
        world.streams.iter().cloned().partition(|channel| moved(&channel));
    assert!(!moved.is_empty() && !stayed.is_empty(), "{moved:?} {stayed:?}");
    let report = away.come_back().await?;
    assert_eq!(report.channels("lost"), moved, "{report:?}");
    assert_eq!(report.channels("recovered"), stayed, "{report:?}");
    Ok(())
}
