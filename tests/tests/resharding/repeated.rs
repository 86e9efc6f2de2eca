//! Again and again, and back with old data.

use anyhow::Result;
use campanile_shard_router::topology::ShardId;
use campanile_tests::puppet::Sdk;
use campanile_tests::redis::RedisOptions;
use campanile_tests::wait::eventually;
use serde_json::json;

use crate::load::Pace;
use crate::planned::STEADY;
use crate::world::{MOVED, World};

/// How often a shard joins, and leaves again.
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_in_a_row_leave_nothing_behind() -> Result<()> {
    let world = World::start(World::cluster(3), 100).await?;
    let load = world.publish(Pace { rate: 300, ..STEADY });
    world.round(&load).await;
    let (spare, fourth) = world.spare("redis-4").await?;
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        world.ask("add", fourth.clone()).await?;
        world.moved().await;
        world.ask("remove", json!({ "name": "redis-4" })).await?;
        gone(&world, "redis-4").await;
        let mut sum = 0;
        for gateway in &world.cluster.gateways {
            sum += gateway.process().resident_bytes()?;
        }
        memory.push(sum >> 20);
    }
    world.round(&load).await;
    let books = world.settle(load).await;
    assert_eq!(books.refusals, 0, "{:?}", books.errors);
    world.nobody_noticed().await?;
    let left: Vec<String> = spare.command(&["KEYS", "campanile:*stream:*"]).await?;
    assert!(left.is_empty(), "{left:?}");
    // The first rounds fill what allocators keep; after that there is no reason to grow.
    let (early, late) = (memory[2], memory[ROUNDS - 1]);
    assert!(
        late * 10 <= early * 12,
        "MiB of the gateways, round by round: {memory:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_returns_with_old_data_serves_none_of_it() -> Result<()> {
    let on_disk = RedisOptions {
        append_only: Some("always"),
        ..RedisOptions::default()
    };
    let cluster = World::cluster(0).shard(on_disk, json!({})).shards(2);
    let mut world = World::start(cluster, 200).await?;
    let load = world.publish(STEADY);
    world.round(&load).await;
    let away = world
        .watch("away", Sdk::JsProtobuf, 2, world.streams.clone())
        .await?;
    world.round(&load).await;
    away.leave().await?;
    away.forget().await?;
    let old = tempfile::tempdir()?;
    copy_dir(
        &world.cluster.shards[0].dir().join("appendonlydir"),
        &old.path().join("appendonlydir"),
    )?;

    world.ask("remove", json!({ "name": "redis-1" })).await?;
    gone(&world, "redis-1").await;
    world.round(&load).await;
    world.cluster.shards[0].kill();
    let files = world.cluster.shards[0].dir().join("appendonlydir");
    std::fs::remove_dir_all(&files)?;
    copy_dir(&old.path().join("appendonlydir"), &files)?;
    world.cluster.shards[0].restart().await?;
    let keys: Vec<String> = world.cluster.shards[0]
        .command(&["KEYS", "campanile:*stream:*"])
        .await?;
    assert!(!keys.is_empty(), "it has its old data");
    world
        .ask(
            "add",
            json!({ "name": "redis-1", "url": world.cluster.shards[0].url() }),
        )
        .await?;
    world.moved().await;
    assert!(world.shares().await?["redis-1"] > 0, "it is used again");
    world.round(&load).await;

    let books = world.settle(load).await;
    assert_eq!(books.refusals, 0, "{:?}", books.errors);
    world.nobody_noticed().await?;
    let report = away.come_back().await?;
    away.arrived(&books.accepted).await;
    assert_eq!(
        report.channels("recovered"),
        world.streams.iter().cloned().collect(),
        "{report:?}"
    );
    assert!(report.channels("wrong").is_empty(), "{report:?}");
    Ok(())
}

async fn gone(world: &World, shard: &str) {
    eventually(format!("{shard} is forgotten"), MOVED, || async {
        let topology = world.topology().await;
        topology.is_ok_and(|it| !it.shards.contains_key(&ShardId::new(shard)))
    })
    .await;
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
