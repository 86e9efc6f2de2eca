//! What shards tell the router.

use std::sync::{Arc, Weak};

use super::Core;
use super::opened::Links;
use super::resume;
use crate::audience::Audience;
use crate::feed::Reception;
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
            core.metrics.received(None);
            return;
        }
        let Some(channel) = core.channels.get(channel) else {
            core.metrics.received(None);
            return;
        };
        let reception = channel.act(&*core.audience, |state, out| {
            state
                .comes_from(&self.links)
                .then(|| state.feed.message(message, out))
        });
        core.metrics.received(reception);
        if matches!(reception, Some(Reception::Held | Reception::Overflowed)) {
            core.kick(&channel);
        }
    }

    fn marker(&self, link: &LinkId, partition: Partition, generation: Generation) {
        tracing::debug!(shard = %link.shard, %partition, %generation, "a partition was sealed");
        let Some(core) = self.core.upgrade() else { return };
        // Every link brings all markers of its shard; the order that counts is that of the partition's own link.
        let shard = core.opened.get(&link.shard);
        if shard.is_some_and(|shard| shard.lane_of(partition) == link.lane) {
            let mut handover = core.handovers.lock(partition);
            handover.marker(&link.shard, link.serial, generation);
        }
    }

    fn link_up(&self, link: &LinkId) {
        let Some(core) = self.core.upgrade() else { return };
        self.links.set_up(link);
        core.spawn(resume::run(Arc::clone(&core), link.clone()));
    }

    fn link_down(&self, link: &LinkId) {
        self.links.set_down(link);
        if let Some(core) = self.core.upgrade() {
            for partition in Partition::all() {
                core.handovers.lock(partition).link_down(link.serial);
            }
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
