//! Following the topology: reading it when it changes, and applying each generation whole or not at all.

use std::sync::Arc;

use super::Core;
use super::events::Listener;
use super::opened::OpenedShard;
use super::routes::Routes;
use crate::audience::Audience;
use crate::store::{GatewayId, TopologyStore};
use crate::topology::{Generation, ShardId, Topology};

/// Reads the topology whenever it may have changed and applies what is new.
pub(super) async fn follow<A: Audience>(
    core: Arc<Core<A>>,
    store: Arc<dyn TopologyStore>,
    gateway: GatewayId,
) {
    let mut changes = store.changes();
    loop {
        changes.mark_unchanged();
        match store.read().await {
            Ok(Some(topology)) => core.apply(topology),
            Ok(None) => tracing::debug!(gateway = %gateway.0, "the store holds no topology yet"),
            Err(error) => tracing::warn!(%error, "the topology was not read"),
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl<A: Audience> Core<A> {
    /// The generation that is applied.
    pub(super) fn generation(&self) -> Generation {
        *self.applied.borrow()
    }

    /// The way to shard `id`, opened now if it was not yet; `None` if this gateway was not told how to reach it.
    pub(super) fn open(self: &Arc<Self>, id: &ShardId) -> Option<Arc<OpenedShard>> {
        self.opened
            .get_or_open(id, self.config.concurrent_reads, |links| {
                self.factory.open(id, Arc::new(Listener::new(self, links)))
            })
    }

    /// Makes `topology` the one that is served, if it is newer. Calls must not overlap.
    pub(super) fn apply(self: &Arc<Self>, topology: Topology) {
        if topology.generation <= self.generation() || self.shutdown.is_cancelled() {
            return;
        }
        let generation = topology.generation;
        let open = |id: &ShardId| Some((id.clone(), self.open(id)?));
        let shards = topology.shards.keys().filter_map(open).collect();
        let topology = Arc::new(topology);
        let before = self
            .routes
            .swap(Arc::new(Routes::new(Arc::clone(&topology), shards)));
        for (id, entry) in &topology.shards {
            match self.open(id) {
                Some(opened) => opened.shard.trust(entry.incarnation.clone(), entry.admitted),
                None => tracing::warn!(shard = %id, "the topology names a shard that is not configured here"),
            }
        }
        self.opened.retain(|id| topology.shards.contains_key(id));
        self.applied.send_replace(generation);
        self.metrics.generation.set(generation.0 as f64);
        tracing::info!(%generation, "topology applied");
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
