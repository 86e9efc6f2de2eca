//! Who may ask for a change besides the API: a shard itself, the configuration file, the command line.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{API_KEY, GatewayConfig, binary};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::wait::eventually;
use serde_json::{Value, json};

use crate::load::{Load, Pace};
use crate::planned::STEADY;
use crate::world::{MOVED, World};

const GENTLE: Pace = Pace { rate: 300, ..STEADY };

/// Refused by the gateway, as documented.
const REFUSED: i32 = 5;

async fn start(cluster: campanile_tests::cluster::ClusterBuilder) -> Result<(World, Load)> {
    let world = World::start(cluster, 100).await?;
    let load = world.publish(GENTLE);
    world.round(&load).await;
    Ok((world, load))
}

/// Waits until nothing moves and the shards own what they should.
async fn shared_out(world: &World, what: &str, holds: impl Fn(&BTreeMap<String, u64>) -> bool) {
    eventually(what, MOVED, || async {
        let idle = world.status().await.is_ok_and(|status| status["moves"].is_null());
        idle && world.shares().await.is_ok_and(|shares| holds(&shares))
    })
    .await;
}

async fn nothing_happened(world: World, load: Load) -> Result<()> {
    world.round(&load).await;
    let books = world.settle(load).await;
    assert_eq!(books.refusals, 0, "{:?}", books.errors);
    world.nobody_noticed().await
}

async fn exists(server: &RedisServer, key: &str) -> Result<bool> {
    Ok(server.command::<i64>(&["EXISTS", key]).await? == 1)
}

/// What a pod's preStop hook does, and the pod's return: with what it had on disk, or with nothing.
async fn drains_itself_and_returns(options: RedisOptions) -> Result<()> {
    let cluster = World::cluster(2).shard(options, json!({}));
    let (mut world, load) = start(cluster).await?;
    let own = &world.cluster.shards[2];
    own.command::<()>(&["SET", "campanile:drain", "1"]).await?;
    eventually("the shard is told that it is drained", MOVED, || async {
        exists(&world.cluster.shards[2], "campanile:drained")
            .await
            .unwrap_or_default()
    })
    .await;
    assert_eq!(world.shares().await?["redis-3"], 0);
    let left: Vec<String> = world.cluster.shards[2]
        .command(&["KEYS", "campanile:*stream:*"])
        .await?;
    assert!(left.is_empty(), "{left:?}");
    world.round(&load).await;

    world.cluster.shards[2].terminate().await?;
    world.round(&load).await;
    world.cluster.shards[2].restart().await?;
    shared_out(&world, "the shard is used again", |shares| shares["redis-3"] > 0).await;
    for key in ["campanile:drain", "campanile:drained"] {
        assert!(!exists(&world.cluster.shards[2], key).await?, "{key} is over");
    }
    nothing_happened(world, load).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_asks_is_emptied_and_used_again_when_it_returns() -> Result<()> {
    let on_disk = RedisOptions {
        append_only: Some("everysec"),
        ..RedisOptions::default()
    };
    drains_itself_and_returns(on_disk).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_asks_and_returns_with_nothing_is_used_again() -> Result<()> {
    drains_itself_and_returns(RedisOptions::default()).await
}

/// Writes the list into the file of every gateway, as a volume with the configuration does, and sends SIGHUP.
fn list_shards(world: &World, shards: &[Value]) -> Result<()> {
    for (index, gateway) in world.cluster.gateways.iter().enumerate() {
        let config: GatewayConfig = world.cluster.config().clone();
        let name = format!("gateway-{}", index + 1);
        let config = config.set("node.name", name).set("shards", shards);
        let new = gateway.dir().join("new.json");
        std::fs::write(&new, config.text())?;
        std::fs::rename(new, gateway.dir().join("campanile.json"))?;
        gateway.process().hang_up();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_gains_a_shard_and_loses_the_first_and_nobody_notices() -> Result<()> {
    let cluster = World::cluster(3).set("cluster.shards_managed_by", "file");
    let (mut world, load) = start(cluster).await?;
    let fourth = RedisServer::start().await?;
    let entry = |(index, server): (usize, &RedisServer)| json!({ "name": format!("redis-{index}"), "url": server.url() });
    let mut list: Vec<Value> = (1..).zip(&world.cluster.shards).map(entry).collect();
    list.push(entry((4, &fourth)));
    list_shards(&world, &list)?;
    shared_out(&world, "the new shard has its share", |shares| {
        shares.get("redis-4").is_some_and(|share| *share > 0)
    })
    .await;
    world.round(&load).await;

    list_shards(&world, &list[1..])?;
    shared_out(&world, "the first shard is forgotten", |shares| {
        shares.keys().eq(["redis-2", "redis-3", "redis-4"])
    })
    .await;
    world.cluster.shards[0].kill();
    nothing_happened(world, load).await
}

/// Runs `campanile shards` as a script would: its exit code, and the lines that it has printed.
async fn command_line(world: &World, words: &[&str]) -> Result<(Option<i32>, Vec<Value>)> {
    let mut command = tokio::process::Command::new(binary()?);
    command
        .arg("shards")
        .args(words)
        .args(["--wait", "--json", "--url", world.cluster.gateways[0].url()])
        .env("CAMPANILE_HTTP_API_KEY", API_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(MOVED, command.output());
    let output = output.await.context("the command ends")??;
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    Ok((output.status.code(), lines))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_adds_and_drains_and_says_when_it_is_done() -> Result<()> {
    let (world, load) = start(World::cluster(3)).await?;
    let fourth = RedisServer::start().await?;
    let (code, lines) = command_line(&world, &["add", "redis-4", &fourth.url()]).await?;
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(
        first["partitions"].as_u64() > Some(0),
        "the plan comes first: {first}"
    );
    assert_eq!(
        (&last["done"], &last["moves"]),
        (&json!(true), &Value::Null),
        "{last}"
    );
    let under_way = |line: &Value| line["done"] == false && line["moves"]["planned"].is_u64();
    assert!(lines[1..lines.len() - 1].iter().all(under_way), "{lines:?}");
    assert_eq!(
        Some(world.shares().await?["redis-4"]),
        first["partitions"].as_u64()
    );

    let (code, lines) = command_line(&world, &["drain", "redis-1"]).await?;
    assert_eq!(code, Some(0), "{lines:?}");
    assert_eq!(lines[lines.len() - 1]["done"], true, "{lines:?}");
    assert_eq!(world.shares().await?["redis-1"], 0);

    let (code, lines) = command_line(&world, &["drain", "nowhere"]).await?;
    assert_eq!(code, Some(REFUSED), "{lines:?}");
    assert!(
        lines[lines.len() - 1]["error"]["message"].is_string(),
        "{lines:?}"
    );
    nothing_happened(world, load).await
}
