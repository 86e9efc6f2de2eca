//! A shard is gone for good, and comes back later with what it had.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use campanile_shard_router::topology::{ShardId, ShardState, Topology};
use campanile_tests::puppet::Sdk;
use campanile_tests::redis::RedisOptions;
use campanile_tests::wait::eventually;
use serde_json::json;

use crate::load::{Load, Pace};
use crate::world::{MOVED, Watcher, World};

/// With keys, so that what was not answered can be made again.
const INSISTENT: Pace = Pace {
    rate: 400,
    keyed: true,
};

/// The one that is lost.
const LOST: &str = "redis-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_lost_histories_are_told_and_never_served_again() -> Result<()> {
    let mut world = start().await?;
    let load = world.publish(INSISTENT);
    let away = world.somebody_leaves(&load).await?;
    let before = world.topology().await?;
    world.cluster.shards[0].kill();
    let published = load.books().accepted;
    world.gives_up(&load, &before).await?;
    world.cluster.shards[0].restart().await?;
    world.uses_it_again(load, (&before, &published), &away).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_was_only_cut_off_serves_nothing_of_what_it_had() -> Result<()> {
    let world = start().await?;
    let load = world.publish(INSISTENT);
    let away = world.somebody_leaves(&load).await?;
    let before = world.topology().await?;
    world.cluster.shards[0].pause();
    let published = load.books().accepted;
    world.gives_up(&load, &before).await?;
    // It still takes itself for the owner, and has publications in its sockets that nobody waits for any more.
    world.cluster.shards[0].resume();
    world.uses_it_again(load, (&before, &published), &away).await
}

async fn start() -> Result<World> {
    let on_disk = RedisOptions {
        append_only: Some("everysec"),
        ..RedisOptions::default()
    };
    let cluster = World::cluster(0)
        .shard(on_disk, json!({}))
        .shards(2)
        .set("cluster.command_timeout", "1s")
        .set("cluster.publish_wait", "1s")
        .set("cluster.evict_after", "3s");
    World::start(cluster, 300).await
}

fn is_lost(topology: &Topology) -> bool {
    let entry = topology.shards.get(&ShardId::new(LOST));
    entry.is_none_or(|entry| entry.state == ShardState::Lost)
}

impl World {
    /// A client that has seen something of every stream is gone from now on; the others count from here.
    async fn somebody_leaves(&self, load: &Load) -> Result<Watcher> {
        self.round(load).await;
        let away = self.watch("away", Sdk::JsJson, 2, self.streams.clone()).await?;
        self.round(load).await;
        away.leave().await?;
        away.forget().await?;
        for watcher in &self.watchers {
            watcher.forget().await?;
        }
        Ok(away)
    }

    /// The shard is evicted, its channels work elsewhere, and nobody but its positioned subscribers is told anything.
    async fn gives_up(&self, load: &Load, before: &Topology) -> Result<()> {
        eventually("the shard is evicted", MOVED, || async {
            self.topology().await.is_ok_and(|it| is_lost(&it))
        })
        .await;
        self.round(load).await;
        for watcher in &self.watchers {
            let who = &watcher.name;
            let own: Vec<String> = watcher.channels.clone();
            let streams: Vec<String> = own
                .iter()
                .filter(|it| it.starts_with("stream:"))
                .cloned()
                .collect();
            let lost = World::on(before, LOST, &streams);
            // A gateway that has not heard of it yet has its subscribers still subscribed.
            eventually(&format!("{who} is told what is lost"), MOVED, || async {
                let report = watcher.report().await;
                report.is_ok_and(|report| report.channels("lost") == lost)
            })
            .await;
            watcher.subscribed().await;
            let report = watcher.report().await?;
            assert_eq!(report.channels("lost"), lost, "{who}: {report:?}");
            assert_eq!(report.count("disconnects"), 0, "{who}: {report:?}");
            assert!(report.channels("recovered").is_empty(), "{who}: {report:?}");
            // A message without a stream whose answer was lost with the shard may come twice: the key was lost as well.
            let wrong = report.channels("wrong");
            assert!(
                wrong.is_subset(&World::on(before, LOST, &own)),
                "{who}: {report:?}"
            );
        }
        Ok(())
    }

    /// The shard is given partitions again, and whoever returns is told what was lost with it, and nothing of it.
    async fn uses_it_again(
        &self,
        load: Load,
        (before, published): (&Topology, &BTreeMap<String, u64>),
        away: &Watcher,
    ) -> Result<()> {
        eventually("the shard is used again", MOVED, || async {
            let owns = |shares: BTreeMap<String, u64>| shares[LOST] > 0;
            self.shares().await.is_ok_and(owns)
        })
        .await;
        self.moved().await;
        self.round(&load).await;
        let books = self.settle(load).await;

        let gone = World::on(before, LOST, &self.streams);
        let all: BTreeSet<String> = self.streams.iter().cloned().collect();
        let report = away.come_back().await?;
        assert_eq!(report.channels("lost"), gone, "{report:?}");
        assert_eq!(report.channels("recovered"), &all - &gone, "{report:?}");
        for channel in &gone {
            let history = self.apis()[0].history(channel).await?;
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
}
