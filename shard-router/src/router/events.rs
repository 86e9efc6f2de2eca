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
    }

    fn link_up(&self, link: &LinkId) {
        let Some(core) = self.core.upgrade() else { return };
        self.links.set_up(link);
        core.spawn(resume::run(Arc::clone(&core), link.clone()));
    }

    fn link_down(&self, link: &LinkId) {
        self.links.set_down(link);
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
