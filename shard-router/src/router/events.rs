//! What shards tell the router.

use std::sync::{Arc, Weak};

use super::Core;
use super::moves::Arrival;
use super::opened::Links;
use super::resume;
use crate::audience::Audience;
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::shard::{LinkId, ShardEvents};
use crate::topology::Generation;

/// The router's ear at one shard. Holds the router weakly: it owns the shard, not the other way round.
pub(super) struct Listener<A: Audience> {
    core: Weak<Core<A>>,
    links: Arc<Links>,
}

impl<A: Audience> Listener<A> {
    pub(super) fn new(core: &Arc<Core<A>>, links: Arc<Links>) -> Self {
        Self {
            core: Arc::downgrade(core),
            links,
        }
    }
}

impl<A: Audience> ShardEvents for Listener<A> {
    fn message(&self, link: &LinkId, channel: &str, message: ShardMessage) {
        let Some(core) = self.core.upgrade() else { return };
        if !self.links.is_current(link) {
            core.metrics.received(Arrival::Stray);
            return;
        }
        let Some(channel) = core.channels.get(channel) else {
            core.metrics.received(Arrival::Stray);
            return;
        };
        let arrival = core.receive(&channel, link.serial, message);
        core.metrics.received(arrival);
    }

    fn marker(&self, link: &LinkId, partition: Partition, generation: Generation) {
        tracing::debug!(shard = %link.shard, %partition, %generation, "a partition was sealed");
        let Some(core) = self.core.upgrade() else { return };
        // Every link brings all markers of its shard; the order that counts is that of the partition's own link.
        let shard = core.opened.get(&link.shard);
        if shard.is_some_and(|shard| shard.lane_of(partition) == link.lane) && self.links.is_current(link) {
            let effect = core
                .handovers
                .lock(partition)
                .marker(&link.shard, link.serial, generation);
            core.follow_up(partition, effect);
        }
    }

    fn link_up(&self, link: &LinkId) {
        let Some(core) = self.core.upgrade() else { return };
        self.links.set_up(link);
        core.spawn(resume::run(Arc::clone(&core), link.clone()));
    }

    fn link_down(&self, link: &LinkId) {
        self.links.set_down(link);
        let Some(core) = self.core.upgrade() else { return };
        for partition in Partition::all() {
            let effect = core.handovers.lock(partition).link_down(link.serial);
            core.follow_up(partition, effect);
        }
    }
}

/// For shards that are looked at before they belong to the topology: what they say is nobody's business.
pub(super) struct Unheard;

impl ShardEvents for Unheard {
    fn message(&self, _: &LinkId, _: &str, _: ShardMessage) {}
    fn marker(&self, _: &LinkId, _: Partition, _: Generation) {}
    fn link_up(&self, _: &LinkId) {}
    fn link_down(&self, _: &LinkId) {}
}
