//! What is known of one subscribed channel.

use std::sync::Arc;

use campanile_common::{ChannelName, Position};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::opened::Links;
use super::routes::Routes;
use crate::audience::{Audience, Event};
use crate::feed::{Feed, FeedLimits, Need};
use crate::partition::Partition;
use crate::shard::{ShardError, StreamLimits};

/// One channel that somebody is subscribed to, or about to be.
pub(super) struct Channel<A: Audience> {
    pub(super) name: ChannelName,
    pub(super) partition: Partition,
    /// Serialises fan-out; the buffer is kept to spare an allocation for each message.
    delivery: Mutex<Vec<Event>>,
    pub(super) state: Mutex<ChannelState<A>>,
    /// Wakes the subscribers that wait, whenever they may be able to join.
    pub(super) progress: Notify,
}

/// What a channel's state lock guards.
pub(super) struct ChannelState<A: Audience> {
    pub(super) members: A::Members,
    pub(super) feed: Feed,
    pub(super) stream: Option<StreamLimits>,
    /// Subscribers that wait to join.
    pub(super) joining: u32,
    /// Whether a task is driving the channel: only its holder subscribes, reads and unsubscribes.
    pub(super) claimed: bool,
    /// Whether the channel was taken off the map; whoever still holds it must look it up again.
    pub(super) closed: bool,
    /// Where a subscription was last asked for.
    pub(super) source: Option<Source>,
    /// Why the last attempt failed, for those whose time runs out.
    pub(super) trouble: Option<ShardError>,
}

/// The life of the link that carries a subscription.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) links: Arc<Links>,
    pub(super) lane: u8,
    pub(super) serial: u64,
}

impl Source {
    /// Whether the link still lives.
    pub(super) fn is_current(&self) -> bool {
        self.serial != Links::DOWN && self.links.serial(self.lane) == self.serial
    }
}

/// A buffer that grew beyond this in a burst is given back.
const BUFFER_KEPT: usize = 32;

impl<A: Audience> Channel<A> {
    pub(super) fn new(name: ChannelName, stream: Option<StreamLimits>, limits: Arc<FeedLimits>) -> Self {
        Self {
            partition: Partition::of(&name),
            name,
            delivery: Mutex::default(),
            state: Mutex::new(ChannelState {
                members: A::Members::default(),
                feed: Feed::new(stream.is_some(), limits),
                stream,
                joining: 0,
                claimed: false,
                closed: false,
                source: None,
                trouble: None,
            }),
            progress: Notify::new(),
        }
    }

    /// Lets `act` change the state, then hands what it produced to the members there were at that moment.
    pub(super) fn act<R>(
        &self,
        audience: &A,
        act: impl FnOnce(&mut ChannelState<A>, &mut Vec<Event>) -> R,
    ) -> R {
        let mut events = self.delivery.lock();
        let (result, members) = {
            let mut state = self.state.lock();
            let result = act(&mut state, &mut events);
            (result, (!events.is_empty()).then(|| state.members.clone()))
        };
        if let Some(members) = members.filter(|members| !A::is_empty(members)) {
            for event in events.iter() {
                audience.deliver(&self.name, &members, event);
            }
        }
        events.clear();
        if events.capacity() > BUFFER_KEPT {
            *events = Vec::new();
        }
        result
    }
}

impl<A: Audience> ChannelState<A> {
    /// Whether anybody is subscribed or wants to be.
    pub(super) fn is_wanted(&self) -> bool {
        self.joining > 0 || !A::is_empty(&self.members)
    }

    /// Whether the subscription was asked for at the shard of `links`.
    pub(super) fn comes_from(&self, links: &Arc<Links>) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| Arc::ptr_eq(&source.links, links))
    }

    /// Notices when the subscription is gone: its link broke, or `partition` has another owner. True if it did.
    pub(super) fn notice_break(&mut self, partition: Partition, routes: &Routes) -> bool {
        if !self.feed.is_attached() {
            return false;
        }
        let holds = |source: &Source| {
            let owner = routes.owner(partition);
            source.is_current() && owner.is_some_and(|owner| Arc::ptr_eq(&owner.links, &source.links))
        };
        let broken = !self.source.as_ref().is_some_and(holds);
        if broken {
            self.feed.detached();
        }
        broken
    }

    /// What a driver would have to do.
    pub(super) fn has_work(&self) -> bool {
        !self.is_wanted() || self.feed.need() != Need::Nothing
    }

    /// How long the position outlives a touch; nothing where there is no stream.
    pub(super) fn meta_ttl(&self) -> std::time::Duration {
        self.stream
            .map_or(std::time::Duration::ZERO, |stream| stream.meta_ttl)
    }

    /// Where delivery stands, for the log.
    pub(super) fn delivered(&self) -> Option<&Position> {
        self.feed.delivered()
    }
}
