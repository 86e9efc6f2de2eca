//! Invariant 6 for what is carried out so far: whichever operation is a coordinator's last, the next one finishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::memory::RestartWith;
use crate::testing::{Judge, Verdict};
use crate::topology::Topology;

/// What a coordinator is in the midst of when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    FirstStart,
    Restarted,
    Flushed,
}

/// A process that dies with its `last` operation, before or after that is carried out.
pub(super) struct Mortal {
    operations: AtomicUsize,
    last: usize,
    at_last: Verdict,
}

impl Mortal {
    pub(super) fn new(last: usize, at_last: Verdict) -> Arc<Self> {
        Arc::new(Self {
            operations: AtomicUsize::new(0),
            last,
            at_last,
        })
    }

    pub(super) fn judge(self: &Arc<Self>) -> Judge {
        let mortal = Arc::clone(self);
        Arc::new(move || {
            let number = mortal.operations.fetch_add(1, Ordering::Relaxed) + 1;
            match number.cmp(&mortal.last) {
                std::cmp::Ordering::Less => Verdict::Pass,
                std::cmp::Ordering::Equal => mortal.at_last,
                std::cmp::Ordering::Greater => Verdict::Hang,
            }
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.operations.load(Ordering::Relaxed) >= self.last
    }
}

/// Plays `scene` until the coordinator has died with its `last` operation and another has finished. False: it had
/// finished before.
async fn play(scene: Scene, last: usize, at_last: Verdict) -> bool {
    let cluster = Cluster::new(2);
    let mut before = None;
    if scene != Scene::FirstStart {
        let earlier = cluster.coordinator("earlier");
        let topology = cluster.settled().await;
        earlier.stop().await;
        before = Some((cluster.publish_everywhere(&topology).await, topology));
    }
    match scene {
        Scene::FirstStart => {}
        Scene::Restarted => cluster.server(1).restart(RestartWith::Data),
        Scene::Flushed => cluster.server(1).flush(),
    }
    let mortal = Mortal::new(last, at_last);
    let judge = mortal.judge();
    let dying = cluster.coordinator_behind("dying", &judge, &judge);
    let died = dies(&cluster, &mortal, before.as_ref().map(|(_, topology)| topology)).await;
    drop(dying);

    let _heir = cluster.coordinator("heir");
    // The lease of the dead expires first, and all is audited.
    sleep(Duration::from_secs(60)).await;
    let after = cluster.settled().await;
    cluster.assert_open_where_owned(&after).await;
    if let Some((positions, before)) = before {
        assert!(after.generation > before.generation);
        let now = cluster.positions(&after).await;
        assert_ne!(now[&super::shard(1)].epoch, positions[&super::shard(1)].epoch);
        assert_eq!(now[&super::shard(2)], positions[&super::shard(2)]);
    }
    died
}

/// Waits until the coordinator has died or its work is done.
async fn dies(cluster: &Cluster, mortal: &Mortal, before: Option<&Topology>) -> bool {
    use crate::store::TopologyStore as _;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !mortal.is_dead() {
        let topology = cluster.store.read().await.unwrap();
        let done = topology.is_some_and(|topology| {
            before.is_none_or(|before| topology.generation > before.generation)
                && cluster.is_settled(&topology)
        });
        if done {
            return false;
        }
        assert!(Instant::now() < deadline, "neither dead nor done");
        sleep(Duration::from_millis(10)).await;
    }
    true
}

async fn die_at_every_step(scene: Scene) {
    for at_last in [Verdict::Hang, Verdict::DoAndHang] {
        let mut last = 1;
        while play(scene, last, at_last).await {
            last += 1;
        }
        assert!(last > 10, "{scene:?} had only {last} steps");
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_may_die_at_every_step_of_the_first_start() {
    die_at_every_step(Scene::FirstStart).await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_may_die_at_every_step_of_admitting_a_restarted_shard() {
    die_at_every_step(Scene::Restarted).await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_may_die_at_every_step_of_admitting_a_flushed_shard() {
    die_at_every_step(Scene::Flushed).await;
}
