//! What is known of one subscribed channel.

use std::sync::Arc;

use campanile_common::{ChannelName, Position};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::audience::{Audience, Event};
use crate::feed::{Feed, FeedLimits, Moved, Need};
use crate::handover::{Handover, Subscriptions};
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::shard::{ShardError, StreamLimits};
use crate::topology::MoveHistory;

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
    /// Where it is subscribed, and what is held back of it.
    pub(super) subscriptions: Subscriptions<ShardMessage>,
    /// Why the last attempt failed, for those whose time runs out.
    pub(super) trouble: Option<ShardError>,
}

/// A buffer that grew beyond this in a burst is given back.
const BUFFER_KEPT: usize = 32;

impl<A: Audience> Channel<A> {
    /// A channel of `partition`, whose handover the caller looks at.
    pub(super) fn new(
        (partition, name): (Partition, ChannelName),
        stream: Option<StreamLimits>,
        limits: Arc<FeedLimits>,
        handover: &Handover,
    ) -> Self {
        Self {
            partition,
            name,
            delivery: Mutex::default(),
            state: Mutex::new(ChannelState {
                members: A::Members::default(),
                feed: Feed::new(stream.is_some(), limits),
                stream,
                joining: 0,
                claimed: false,
                closed: false,
                subscriptions: Subscriptions::new(handover),
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

    /// Brings the feed up to what is known of the subscriptions. True if they were broken: messages may be missing.
    pub(super) fn refresh(&mut self, handover: &Handover) -> bool {
        let broken = self.subscriptions.notice_breaks(handover) && self.feed.is_attached();
        if broken {
            self.feed.detached();
        }
        if self.subscriptions.is_attached(handover) {
            self.feed.attached();
        }
        broken
    }

    /// Takes note of the end of a move, and hands in what was held back and may pass now.
    pub(super) fn settle(&mut self, handover: &Handover, out: &mut Vec<Event>) {
        let settled = self.subscriptions.settle(handover);
        if let Some(history) = settled.moved {
            let moved = match history {
                MoveHistory::Keep => Moved::WithHistory,
                MoveHistory::Drop => Moved::WithoutHistory,
            };
            self.feed.moved(moved, self.subscriptions.is_attached(handover));
        }
        for message in settled.released {
            self.feed.message(message, out);
        }
    }

    /// What a driver would have to do.
    pub(super) fn has_work(&self, handover: &Handover) -> bool {
        if !self.is_wanted() {
            return self.subscriptions.is_gone() || self.subscriptions.links().next().is_some();
        }
        matches!(self.feed.need(), Need::Read(_))
            || self.subscriptions.missing(handover).next().is_some()
            || self.subscriptions.surplus(handover).next().is_some()
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
