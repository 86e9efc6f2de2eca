//! Everything at once: publishers, subscribers that come and go, and faults drawn at random, against what is promised.
//!
//! Three Redis shards (one flushes its file every second, one keeps nothing, one is declared durable), a store and two
//! gateways, all of them real processes. Where everything may break, the second shard has a replica that takes its place, a
//! fourth joins and leaves, shards are drained, and one that is silent for a while is given up. The promises are checked
//! as clients see them:
//!
//! * what a subscriber is given is dense: each offset after the one before, from the position that it was told;
//! * `recovered` is true only with everything from the position that was asked for to the one that was given;
//! * one place in a stream never holds two publications, and one publication is never in two places;
//! * what one publisher had accepted is in its order;
//! * a gateway never ends a connection because of a shard or the store; every request is answered in its time;
//! * once nothing is broken any more, every gateway is ready, what was planned has been moved, shards that were given up are
//!   used again, and every subscriber has the end of every stream.
//!
//! | variable | |
//! | --- | --- |
//! | `CHAOS_SEED` | the seed of every run |
//! | `CHAOS_SECONDS` | how long things break |
//!
//! A seed draws the same faults and the same clients; what meets what is up to the machine.

mod deployment;
mod faults;
mod model;
mod publisher;
mod reshaping;
mod subscriber;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use campanile_common::Codec;
use campanile_tests::cluster::Cluster;
use serde_json::{Value, json};

use deployment::Deployment;
use faults::Nemesis;
use model::{Place, Publication};
use publisher::Publisher;
use subscriber::{Standings, Subscriber};
use world::{Channel, Phase, World};

/// How long things break, unless told otherwise.
const STORM: Duration = Duration::from_secs(20);
/// What mending may take: a coordinator's lease that has to expire, a shard's admission, connections' backoff.
const MENDING: Duration = Duration::from_secs(60);
/// What the moves of a whole plan may take, after attempts that failed and made the next one wait.
const MOVING: Duration = Duration::from_secs(150);
/// What the last subscriber may take to have everything: an idle channel's check, and a few attempts.
const ARRIVAL: Duration = Duration::from_secs(40);
/// Subscribers, and the channels of each.
const SUBSCRIBERS: usize = 12;
const CHANNELS_OF_EACH: usize = 8;
/// What a gateway may take, debug build and all.
const GATEWAY_MEMORY: u64 = 400 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_hold_whatever_breaks() -> Result<()> {
    run("all", 1, Breaks::Everything).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shards_trouble_is_not_noticed_elsewhere() -> Result<()> {
    run("one", 2, Breaks::Shard(0)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_shards_trouble_is_not_noticed_elsewhere() -> Result<()> {
    run("durable", 3, Breaks::Shard(deployment::DURABLE)).await
}

/// What is broken in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    /// Everything, and the ring is reshaped meanwhile.
    Everything,
    /// One shard: what depends on others must not notice.
    Shard(usize),
}

impl Breaks {
    fn focus(self) -> Option<usize> {
        match self {
            Self::Everything => None,
            Self::Shard(index) => Some(index),
        }
    }
}

/// One run with the seed that is asked for, else with `seed`.
async fn run(kind: &str, seed: u64, breaks: Breaks) -> Result<()> {
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let seed = number("CHAOS_SEED").unwrap_or(seed);
    let storm = number("CHAOS_SECONDS").map_or(STORM, Duration::from_secs);
    let deployment = Deployment::start(breaks).await?;
    let world = World::new(
        deployment.channels().await?,
        &deployment.cluster.gateways,
        breaks.focus(),
    );
    let standings = Arc::new(Standings::default());
    let mut actors = tokio::task::JoinSet::new();
    let mut publishers = tokio::task::JoinSet::new();
    for index in 0..SUBSCRIBERS {
        let codec = Codec::ALL[index % Codec::ALL.len()];
        // Steps that have no divisor in common with the number of channels.
        let own = (0..CHANNELS_OF_EACH)
            .map(|step| world.channels[(index * 5 + step * 4) % world.channels.len()].clone());
        let own: std::collections::BTreeMap<_, _> =
            own.map(|channel| (channel.name.clone(), channel)).collect();
        let name = (format!("subscriber-{index}"), seed_of(seed, 100 + index));
        actors.spawn(Subscriber::new(&world, &standings, name, codec, own.into_values().collect()).run());
    }
    for index in 0..4 {
        let publisher = Publisher::new(&world, format!("api-{index}"), seed_of(seed, 200 + index));
        publishers.spawn(publisher.run_api(index % 2 == 1));
    }
    for (index, codec) in Codec::ALL.into_iter().enumerate() {
        let publisher = Publisher::new(&world, format!("client-{index}"), seed_of(seed, 300 + index));
        publishers.spawn(publisher.run_client(codec));
    }
    let (mut cluster, _standby) = Nemesis::new(&world, deployment, seed_of(seed, 0))
        .rage(storm)
        .await?;

    world.phase.send_replace(Phase::Calm);
    while let Some(ended) = publishers.join_next().await {
        ended?;
    }
    settle(&world, &standings, &mut cluster).await;
    count_moves(&world, &cluster).await;
    world.phase.send_replace(Phase::Over);
    while let Some(ended) = actors.join_next().await {
        ended?;
    }
    world.model.check_order();
    let (counts, violations) = world.model.report();
    #[expect(clippy::print_stdout, reason = "says what the run has covered")]
    {
        println!("{kind}, seed {seed}, {storm:?}: {counts}");
    }
    assert!(
        violations.is_empty(),
        "promises were broken; CHAOS_SEED={seed} draws the same faults:\n{}",
        violations.join("\n")
    );
    Ok(())
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seed_of(seed: u64, actor: usize) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(actor as u64)
}

/// Nothing is broken any more: all must come right by itself.
async fn settle(world: &World, standings: &Standings, cluster: &mut Cluster) {
    let start = Instant::now();
    for (index, gateway) in cluster.gateways.iter_mut().enumerate() {
        while !gateway.ready().await.is_ok_and(|(ready, _)| ready) {
            if start.elapsed() > MENDING {
                let report = gateway.ready().await;
                world
                    .model
                    .violation(format!("gateway {index} is not ready: {report:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        match gateway.process().resident_bytes() {
            Ok(bytes) if bytes < GATEWAY_MEMORY => {}
            other => world
                .model
                .violation(format!("gateway {index} takes {other:?} bytes")),
        }
    }
    come_to_rest(world).await;
    let start = Instant::now();
    while standings.lock().len() < SUBSCRIBERS * CHANNELS_OF_EACH && start.elapsed() < ARRIVAL {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for channel in &world.channels {
        end(world, channel).await;
    }
    let start = Instant::now();
    loop {
        let behind = behind(world, standings).await;
        if behind.is_empty() {
            return;
        }
        if start.elapsed() > ARRIVAL {
            return behind.into_iter().for_each(|what| world.model.violation(what));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What was planned gets done, and what was given up is used again.
async fn come_to_rest(world: &World) {
    let start = Instant::now();
    loop {
        let status = world.seat(0).api.call("shards/status", &json!({})).await;
        let lost = |status: &Value| {
            let mut shards = status["shards"].as_array().into_iter().flatten();
            shards.any(|shard| shard["state"] == "lost")
        };
        if matches!(&status, Ok(status) if status["moves"].is_null() && !lost(status)) {
            return;
        }
        if start.elapsed() > MOVING {
            return world
                .model
                .violation(format!("the ring does not come to rest: {status:?}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Counts what the gateways that still live have moved and given up.
async fn count_moves(world: &World, cluster: &Cluster) {
    for gateway in &cluster.gateways {
        let Ok(metrics) = gateway.metrics().await else {
            continue;
        };
        for (what, name) in [
            ("moves: partitions", "campanile_partitions_moved_total"),
            ("moves: abandoned", "campanile_moves_abandoned_total"),
            ("moves: shards given up", "campanile_shard_evictions_total"),
        ] {
            world.model.add(what, metrics.count(name, &[]));
        }
    }
}

/// The last publication of a channel.
fn last_of(channel: &str) -> Publication {
    Publication {
        publisher: format!("end-{channel}"),
        number: 1,
        keyed: true,
    }
}

async fn end(world: &World, channel: &Channel) {
    let start = Instant::now();
    let mut attempt = 0;
    while !world
        .api_publish(&world.seat(attempt), channel, &last_of(&channel.name))
        .await
    {
        attempt += 1;
        if start.elapsed() > MENDING {
            return world.model.violation(format!(
                "{} takes nothing, though nothing is broken",
                channel.name
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Which subscribers do not have the end of their channels.
async fn behind(world: &World, standings: &Standings) -> Vec<String> {
    let mut tops = std::collections::BTreeMap::new();
    for channel in world.channels.iter().filter(|channel| channel.stream) {
        match world
            .seat(0)
            .api
            .call("history", &json!({ "channel": channel.name }))
            .await
        {
            Ok(top) => {
                let epoch = top["epoch"].as_str().unwrap_or_default().to_owned();
                let offset = top["offset"].as_u64().unwrap_or_default();
                tops.insert(channel.name.clone(), Place { epoch, offset });
            }
            Err(error) => return vec![format!("{}: {error:#}", channel.name)],
        }
    }
    let standings = standings.lock();
    let mut behind = Vec::new();
    if standings.len() < SUBSCRIBERS * CHANNELS_OF_EACH {
        behind.push(format!(
            "{} of {} are subscribed",
            standings.len(),
            SUBSCRIBERS * CHANNELS_OF_EACH
        ));
    }
    for ((who, channel), standing) in standings.iter() {
        let there = match tops.get(channel) {
            Some(top) => *top == standing.place,
            None => standing.last == Some(last_of(channel)),
        };
        if !there {
            behind.push(format!(
                "{who} has {standing:?} of {channel}, whose end is {:?}",
                tops.get(channel)
            ));
        }
    }
    behind
}
