//! Following the topology: reading it when it changes, and applying each generation whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::events::Listener;
use super::opened::OpenedShard;
use super::routes::Routes;
use super::{Core, resume};
use crate::audience::Audience;
use crate::handover::Change;
use crate::membership::Membership;
use crate::partition::Partition;
use crate::topology::{Generation, PartitionState, ShardEntry, ShardId, ShardState, ShardUrl, Topology};

/// How often it is looked at what an acknowledgement waits for, should nothing say that it has come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often it is looked at which shards can be reached.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// Keeps the gateway registered and applies each topology that it may serve by, until the router ends; then takes the
/// gateway off the registry.
pub(super) async fn follow<A: Audience>(core: Arc<Core<A>>, membership: Membership) {
    let mut views = membership.views();
    let mut joined = 0;
    let mut acknowledged = None;
    loop {
        let view = views.borrow_and_update().clone();
        let mut obstacle = None;
        if let Some(topology) = view.topology {
            if view.joined > joined && joined > 0 {
                core.begin_anew(&topology);
            }
            joined = view.joined;
            let waits = core.apply(&topology).err();
            let applied = (joined, core.generation());
            if acknowledged != Some(applied) {
                obstacle = core.obstacle();
                if obstacle.is_none() {
                    membership.applied(joined, applied.1);
                    acknowledged = Some(applied);
                }
            }
            obstacle = waits.or(obstacle);
        }
        let pause = if obstacle.is_some() {
            LOOK_AGAIN
        } else {
            LOOK_AROUND
        };
        core.awaited.store(obstacle.is_some(), Ordering::Relaxed);
        membership.report(obstacle, core.routes.load().unreachable());
        tokio::select! {
            // Fails only if the membership's task has panicked; what was applied last stays.
            Ok(()) = views.changed() => {}
            () = core.handed.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = core.shutdown.cancelled() => break,
        }
    }
    membership.leave().await;
}

impl<A: Audience> Core<A> {
    /// The generation that is applied.
    pub(super) fn generation(&self) -> Generation {
        *self.applied.borrow()
    }

    /// The way to shard `id`, opened now, at `url`, if it was not yet; in words, why there is none.
    pub(super) fn open(self: &Arc<Self>, id: &ShardId, url: &ShardUrl) -> Result<Arc<OpenedShard>, String> {
        if self.shutdown.is_cancelled() {
            return Err("this gateway is shutting down".to_owned());
        }
        self.opened
            .get_or_open((id, url), self.config.concurrent_reads, |links| {
                self.factory.open(id, url, Arc::new(Listener::new(self, links)))
            })
    }

    /// Makes `topology` the one that is served, if it is newer. Calls must not overlap.
    ///
    /// # Errors
    ///
    /// In words, why it has to wait: a partition is not drained yet of the owner before the last one.
    pub(super) fn apply(self: &Arc<Self>, topology: &Arc<Topology>) -> Result<(), String> {
        if topology.generation <= self.generation() || self.shutdown.is_cancelled() {
            return Ok(());
        }
        let must_wait = |(partition, state): &(Partition, &PartitionState)| {
            !self.handovers.lock(*partition).may_apply(state)
        };
        let waiting: Vec<_> = topology.states().filter(must_wait).collect();
        if let Some((first, _)) = waiting.first() {
            for (partition, state) in &waiting {
                self.handovers.lock(*partition).foresee(state);
            }
            let partitions: Vec<_> = waiting.iter().map(|(partition, _)| *partition).collect();
            self.leave_surplus(&partitions);
            return Err(format!(
                "partition {first}: its former owner's messages may still come"
            ));
        }
        self.serve(topology);
        Ok(())
    }

    /// The registration had expired: others may have gone on without this gateway. All connections are made anew, and
    /// what was held from before counts for nothing; every position is verified.
    fn begin_anew(self: &Arc<Self>, topology: &Arc<Topology>) {
        self.opened.retain(|_, _| false);
        for partition in Partition::all() {
            self.handovers.lock(partition).rejoin();
            for channel in self.channels.of(partition) {
                let mut state = channel.state.lock();
                state.subscriptions.rejoin();
                if state.feed.is_attached() {
                    state.feed.detached();
                    self.interrupted(&state);
                }
            }
            self.handovers.settled(partition, self.handovers.round(partition));
        }
        if topology.generation >= self.generation() && !self.shutdown.is_cancelled() {
            self.serve(topology);
        }
    }

    /// Routes by `topology` from now on.
    fn serve(self: &Arc<Self>, topology: &Arc<Topology>) {
        // A shard whose URL has changed is another one.
        self.opened.retain(|id, url| {
            let mut connected = connected(topology);
            connected.any(|(known, entry)| known == id && entry.url == *url)
        });
        let mut shards = BTreeMap::new();
        for (id, entry) in connected(topology) {
            match self.open(id, &entry.url) {
                Ok(opened) => drop(shards.insert(id.clone(), opened)),
                Err(reason) => tracing::warn!(shard = %id, reason, "there is no way to a shard"),
            }
        }
        self.renewals.note(self.topology().as_deref(), topology);
        let changes: Vec<_> = topology
            .states()
            .map(|(partition, state)| {
                let change = self.handovers.lock(partition).apply(state, topology.generation);
                (partition, change)
            })
            .filter(|(_, change)| *change != Change::Nothing)
            .collect();
        self.routes
            .store(Arc::new(Routes::new(Arc::clone(topology), shards)));
        for (id, entry) in connected(topology) {
            if let Some(opened) = self.opened.get(id) {
                opened.shard.trust(entry.incarnation.clone(), entry.admitted);
            }
        }
        self.applied.send_replace(topology.generation);
        // Exact up to 2^53: a change each microsecond reaches that after 285 years.
        self.metrics.generation.set(topology.generation.0 as f64);
        tracing::info!(generation = %topology.generation, changed = changes.len(), "topology applied");
        self.rehome(&changes);
    }

    /// Has the channels of partitions that changed hands subscribed where they are to be, and nowhere else.
    fn rehome(self: &Arc<Self>, changes: &[(Partition, Change)]) {
        for (partition, change) in changes {
            self.settle_all(*partition, *change == Change::Broken);
        }
        let changed: Vec<_> = changes.iter().map(|(partition, _)| *partition).collect();
        self.leave_surplus(&changed);
        let mut sweeps: BTreeMap<(ShardId, u8), Vec<Partition>> = BTreeMap::new();
        for partition in &changed {
            for shard in self.handovers.lock(*partition).required() {
                if let Some(opened) = self.opened.get(shard) {
                    let lane = opened.lane_of(*partition);
                    sweeps.entry((shard.clone(), lane)).or_default().push(*partition);
                }
            }
        }
        for ((shard, lane), partitions) in sweeps {
            self.spawn(resume::rehome(Arc::clone(self), shard, lane, partitions));
        }
    }
}

/// The shards that gateways keep connections to.
fn connected(topology: &Topology) -> impl Iterator<Item = (&ShardId, &ShardEntry)> {
    let shards = topology.shards.iter();
    shards.filter(|(_, entry)| entry.state != ShardState::Lost)
}
