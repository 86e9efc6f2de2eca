//! Moves in which something dies, stalls or is out of reach: each is completed or abandoned, and every promise kept.

mod coordinator;
mod gateways;
mod shards;
mod step;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use campanile_shard_router::topology::{PartitionState, ShardId, Topology};
use campanile_tests::redis::RedisServer;
use campanile_tests::wait::eventually;

use crate::load::{Load, Pace};
use crate::world::{Watcher, World};
use step::Step;

/// Channels of each kind.
const EACH: usize = 200;
/// A lease that has to expire, an eviction, and the moves.
const SETTLED: Duration = Duration::from_secs(180);
/// The shard that is added.
const ADDED: &str = "redis-4";
/// Of the 1024 partitions that the added shard is to get, surely.
const MOST: usize = 900;

/// With keys: a gateway that ends leaves publications unanswered.
const INSISTENT: Pace = Pace {
    rate: 200,
    keyed: true,
};

/// A cluster whose first gateway coordinates and serves nobody, in the middle of moves to a fourth shard, in batches that are
/// small enough for there to be many of them.
struct Scene {
    world: World,
    load: Load,
    spare: RedisServer,
}

impl Scene {
    async fn start() -> Result<Self> {
        let cluster = World::cluster(3)
            .set("cluster.command_timeout", "1s")
            .set("cluster.publish_wait", "1s")
            .set("cluster.max_moving", 8)
            .set("cluster.evict_after", "4s");
        let world = World::start_on(cluster, EACH, &[1, 2]).await?;
        assert_eq!(world.leader().await, 0, "whoever comes first coordinates");
        let load = world.publish(INSISTENT);
        world.round(&load).await;
        let (spare, fourth) = world.spare(ADDED).await?;
        world.ask("add", fourth).await?;
        world.underway(0.9).await;
        Ok(Self { world, load, spare })
    }

    /// Stops the coordinator at `step` of a move, and says how things stand: they stay so until it runs again.
    async fn stopped_at(&self, step: Step) -> Result<step::Standing> {
        let shards = self.world.cluster.shards.iter();
        let servers = shards.chain([&self.spare]).collect::<Vec<_>>();
        step::stop_at(&self.world, &servers, step).await
    }

    /// Everything has been carried out, and every channel works.
    async fn settles(&self) -> Result<()> {
        settled(&self.world).await;
        were_made(&self.world).await?;
        self.world.round(&self.load).await;
        Ok(())
    }

    /// The same, nobody noticed, and all that was accepted has arrived.
    async fn ends_unnoticed(self) -> Result<()> {
        self.settles().await?;
        self.world.settle(self.load).await;
        self.world.nobody_noticed().await
    }
}

/// The added shard has got what it was to get.
async fn were_made(world: &World) -> Result<()> {
    let moved = world.topology().await?.shares()[&ShardId::new(ADDED)];
    assert!(moved > MOST, "of the moves, {moved} were made");
    Ok(())
}

/// Waits until a shard that died is nobody's owner any more, and nothing is planned, moving or opening.
///
/// Moves may all be done before the shard is evicted.
async fn settled_without(world: &World, shard: &str) {
    eventually("what the shard had is given to others", SETTLED, || async {
        world
            .topology()
            .await
            .is_ok_and(|topology| owns_nothing(&topology, shard))
    })
    .await;
    settled(world).await;
}

/// Waits until nothing is planned, moving or opening.
async fn settled(world: &World) {
    eventually("all is settled", SETTLED, || async {
        world.topology().await.is_ok_and(|topology| {
            let stable = |state: &PartitionState| matches!(state, PartitionState::Stable(_));
            topology.plan.is_empty() && topology.partitions.iter().all(stable)
        })
    })
    .await;
}

/// Exactly the watched streams among `lost` are told so; what had no stream may only have suffered among `touched`.
async fn only_these_noticed(
    world: &World,
    lost: &BTreeSet<String>,
    touched: &BTreeSet<String>,
) -> Result<()> {
    these_noticed(world, lost, &BTreeSet::new(), touched).await
}

/// The same, where of some other streams nobody could tell in advance whether they would be lost.
async fn these_noticed(
    world: &World,
    lost: &BTreeSet<String>,
    perhaps: &BTreeSet<String>,
    touched: &BTreeSet<String>,
) -> Result<()> {
    for watcher in &world.watchers {
        let own: BTreeSet<String> = streams_of(watcher).intersection(lost).cloned().collect();
        // A gateway that has not heard of it yet has its subscribers still subscribed.
        eventually(
            &format!("{} is told what is lost", watcher.name),
            SETTLED,
            || async {
                let report = watcher.report().await;
                report.is_ok_and(|report| own.is_subset(&report.channels("lost")))
            },
        )
        .await;
        watcher.subscribed().await;
        let report = watcher.report().await?;
        let others = &report.channels("lost") - &own;
        assert!(others.is_subset(perhaps), "{}: {report:?}", watcher.name);
        assert!(
            report.channels("recovered").is_empty(),
            "{}: {report:?}",
            watcher.name
        );
        assert_eq!(report.count("disconnects"), 0, "{}: {report:?}", watcher.name);
        let wrong = report.channels("wrong");
        assert!(wrong.is_subset(touched), "{}: {report:?}", watcher.name);
    }
    Ok(())
}

fn streams_of(watcher: &Watcher) -> BTreeSet<String> {
    let streams = watcher.channels.iter().filter(|it| is_stream(it));
    streams.cloned().collect()
}

fn is_stream(channel: &str) -> bool {
    channel.starts_with("stream:")
}

fn owns_nothing(topology: &Topology, shard: &str) -> bool {
    topology.owned_by(&ShardId::new(shard)).next().is_none()
}
