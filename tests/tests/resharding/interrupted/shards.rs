//! A shard of a move dies, or is replaced by one that lags behind.

use anyhow::{Context as _, Result};
use campanile_shard_router::topology::PartitionState;
use campanile_tests::balancer::Balancer;
use campanile_tests::puppet::Sdk;
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::wait::eventually;
use serde_json::json;

use super::step::{self, Step};
use super::{
    ADDED, EACH, INSISTENT, SETTLED, Scene, is_stream, only_these_noticed, settled_without, these_noticed,
};
use crate::world::World;

async fn the_target_dies_at(step: Step) -> Result<()> {
    let mut scene = Scene::start().await?;
    let before = scene.stopped_at(step).await?;
    scene.spare.kill();
    scene.world.cluster.gateways[0].process().resume();
    settled_without(&scene.world, ADDED).await;
    scene.world.round(&scene.load).await;
    // What it had, and what it might have had: from the seal on nobody can tell whether it accepted anything.
    let lost = before.channels(&scene.world.streams, |state, step| match step {
        Some(step) => matches!(step, Step::Sealed | Step::Opened),
        None => state.owner().as_str() == ADDED,
    });
    assert!(!lost.is_empty(), "it had some");
    // Stopped with the target's last answer before the seal in hand, the coordinator goes on to seal.
    let perhaps = before.channels(&scene.world.streams, |_, step| step == Some(Step::Copying));
    let touched = before.channels(&scene.world.plain, |state, _| {
        state.destination().as_str() == ADDED
    });
    scene.world.settle(scene.load).await;
    these_noticed(&scene.world, &lost, &perhaps, &touched).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_dies_before_the_seal() -> Result<()> {
    the_target_dies_at(Step::Copying).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_dies_after_the_seal() -> Result<()> {
    the_target_dies_at(Step::Sealed).await
}

async fn the_source_dies_at(step: Step) -> Result<()> {
    let mut scene = Scene::start().await?;
    let before = scene.stopped_at(step).await?;
    let met = before.at(step);
    let (_, source) = *met.first().context("a move at that step")?;
    let index: usize = source.trim_start_matches("redis-").parse()?;
    scene.world.cluster.shards[index - 1].kill();
    scene.world.cluster.gateways[0].process().resume();
    settled_without(&scene.world, source).await;
    let after = scene.world.topology().await?;
    for (partition, _) in met.iter().filter(|(_, from)| *from == source) {
        let owner = after.partition(*partition).owner().as_str();
        assert_eq!(owner, ADDED, "{partition:?}, which was moving there");
    }
    scene.world.round(&scene.load).await;
    // What the target had opened is there whole.
    let is_lost =
        |state: &PartitionState, step| state.owner().as_str() == source && step != Some(Step::Opened);
    let lost = before.channels(&scene.world.streams, is_lost);
    assert!(!lost.is_empty(), "it had some");
    let touched = before.channels(&scene.world.plain, |state, _| state.owner().as_str() == source);
    scene.world.settle(scene.load).await;
    only_these_noticed(&scene.world, &lost, &touched).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_dies_before_the_seal() -> Result<()> {
    the_source_dies_at(Step::Copying).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_dies_before_the_commit() -> Result<()> {
    the_source_dies_at(Step::Opened).await
}

/// A primary, a replica that can be made to lag, and the one address behind which they change places.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
    replication: Balancer,
    front: Balancer,
}

impl Pair {
    async fn start() -> Result<Self> {
        let primary = RedisServer::start().await?;
        let address = format!("127.0.0.1:{}", primary.port());
        let replication = Balancer::start(&address).await?;
        let following = RedisOptions {
            replica_of: Some(replication.port()),
            ..RedisOptions::default()
        };
        let replica = RedisServer::start_with(following).await?;
        replica.wait_for_replication().await;
        let front = Balancer::start(&address).await?;
        Ok(Self {
            primary,
            replica,
            replication,
            front,
        })
    }

    /// The replica stays behind from now on.
    async fn lag(&self) {
        eventually("the replica follows", SETTLED, || async {
            let keys = self
                .replica
                .command::<Vec<String>>(&["KEYS", "campanile:*stream:*"]);
            keys.await.is_ok_and(|keys| !keys.is_empty())
        })
        .await;
        self.replication.cut();
    }

    async fn promote(&mut self) -> Result<()> {
        self.primary.kill();
        self.replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
        self.front.point_to(&format!("127.0.0.1:{}", self.replica.port()));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_replica_is_promoted() -> Result<()> {
    let cluster = World::cluster(3).set("cluster.max_moving", 8);
    let world = World::start_on(cluster, EACH, &[1, 2]).await?;
    let mut pair = Pair::start().await?;
    let url = format!("redis://127.0.0.1:{}", pair.front.port());
    world.ask("add", json!({ "name": ADDED, "url": url })).await?;
    world.moved().await;
    let load = world.publish(INSISTENT);
    world.round(&load).await;
    let away = world.watch("away", Sdk::JsJson, 2, world.streams.clone()).await?;
    world.round(&load).await;
    away.leave().await?;
    away.forget().await?;
    pair.lag().await;
    world.round(&load).await;

    world.ask("drain", json!({ "name": ADDED })).await?;
    world.underway(0.9).await;
    let shards = world.cluster.shards.iter();
    let servers: Vec<&RedisServer> = shards.chain([&pair.primary]).collect();
    let before = step::stop_at(&world, &servers, Step::Copying).await?;
    pair.promote().await?;
    world.cluster.gateways[0].process().resume();
    settled_without(&world, ADDED).await;
    world.round(&load).await;

    let lost = before.channels(&world.streams, |state, step| {
        state.owner().as_str() == ADDED && step != Some(Step::Opened)
    });
    assert!(!lost.is_empty(), "it had some");
    let touched = before.channels(&world.plain, |state, _| state.owner().as_str() == ADDED);
    let books = world.settle(load).await;
    only_these_noticed(&world, &lost, &touched).await?;
    let report = away.come_back().await?;
    assert_eq!(report.channels("lost"), lost, "{report:?}");
    let wrong = report.channels("wrong");
    assert!(!wrong.iter().any(|it| is_stream(it)), "{report:?}");
    away.arrived(
        &books
            .accepted
            .into_iter()
            .filter(|(it, _)| !lost.contains(it))
            .collect(),
    )
    .await;
    Ok(())
}
