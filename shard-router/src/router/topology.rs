//! Following the topology: reading it when it changes, and applying each generation whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Core;
use super::events::Listener;
use super::opened::OpenedShard;
use super::routes::Routes;
use crate::audience::Audience;
use crate::membership::Membership;
use crate::topology::{Generation, ShardEntry, ShardId, ShardState, ShardUrl, Topology};

/// Keeps the gateway registered and applies each topology that it may serve by, until the router ends; then takes the
/// gateway off the registry.
pub(super) async fn follow<A: Audience>(core: Arc<Core<A>>, membership: Membership) {
    let mut views = membership.views();
    let mut joined = 0;
    loop {
        let view = views.borrow_and_update().clone();
        if let Some(topology) = view.topology {
            if view.joined > joined && joined > 0 {
                core.begin_anew();
            }
            joined = view.joined;
            core.apply(&topology);
            membership.applied(joined, core.generation());
        }
        tokio::select! {
            // Fails only if the membership's task has panicked; what was applied last stays.
            Ok(()) = views.changed() => {}
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
    pub(super) fn apply(self: &Arc<Self>, topology: &Arc<Topology>) {
        if topology.generation <= self.generation() || self.shutdown.is_cancelled() {
            return;
        }
        self.serve(topology);
        self.applied.send_replace(topology.generation);
        // Exact up to 2^53: a change each microsecond reaches that after 285 years.
        self.metrics.generation.set(topology.generation.0 as f64);
        tracing::info!(generation = %topology.generation, "topology applied");
    }

    /// The registration had expired: others may have gone on without this gateway. All connections are made anew, which
    /// drops all windows and has every position verified.
    fn begin_anew(self: &Arc<Self>) {
        self.opened.retain(|_, _| false);
        if let Some(topology) = self.topology() {
            self.serve(&topology);
        }
    }

    /// Routes by `topology` from now on.
    fn serve(self: &Arc<Self>, topology: &Arc<Topology>) {
        // A shard whose URL has changed is another one.
        self.opened
            .retain(|id, url| topology.shards.get(id).is_some_and(|entry| entry.url == *url));
        let mut shards = BTreeMap::new();
        for (id, entry) in connected(topology) {
            match self.open(id, &entry.url) {
                Ok(opened) => drop(shards.insert(id.clone(), opened)),
                Err(reason) => tracing::warn!(shard = %id, reason, "there is no way to a shard"),
            }
        }
        for (partition, state) in topology.states() {
            self.handovers.lock(partition).apply(state, topology.generation);
        }
        let before = self
            .routes
            .swap(Arc::new(Routes::new(Arc::clone(topology), shards)));
        for (id, entry) in connected(topology) {
            if let Some(opened) = self.opened.get(id) {
                opened.shard.trust(entry.incarnation.clone(), entry.admitted);
            }
        }
        self.rehome(&before);
    }

    /// Has the channels subscribed at their new owners whose partitions changed hands.
    fn rehome(self: &Arc<Self>, before: &Routes) {
        let now = self.routes.load_full();
        let moved = |channel: &super::channel::Channel<A>| {
            let (old, new) = (before.owner(channel.partition), now.owner(channel.partition));
            old.map(Arc::as_ptr) != new.map(Arc::as_ptr)
        };
        if before.topology.is_none() {
            return;
        }
        for segment in self.channels.segments() {
            for channel in segment.into_iter().filter(|channel| moved(channel)) {
                self.kick(&channel);
            }
        }
    }
}

/// The shards that gateways keep connections to.
fn connected(topology: &Topology) -> impl Iterator<Item = (&ShardId, &ShardEntry)> {
    let shards = topology.shards.iter();
    shards.filter(|(_, entry)| entry.state != ShardState::Lost)
}
