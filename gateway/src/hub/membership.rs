//! One client's subscription to one channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use campanile_common::ChannelName;

use super::{Encoded, Subscriber};
use crate::connection::delivery::{DeliveryMeter, Start};
use crate::connection::outbound::{Kind, Liveness, Route, Tag};

/// A subscription, as the hub and its connection share it.
#[derive(Debug)]
pub struct Membership<S> {
    subscriber: Arc<S>,
    channel: ChannelName,
    /// And the [`Interest`].
    liveness: Liveness,
    /// Where it is in its channel's [`Members`](super::Members). Changes only with them, under the channel's lock.
    pub(super) slot: AtomicU32,
}

/// What a subscription gets beside publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// It ends when continuity is lost.
    pub positioned: bool,
    /// Joins and leaves.
    pub join_leave: bool,
}

impl<S: Subscriber> Membership<S> {
    /// A subscription that is live, but in no channel's [`Members`](super::Members) yet.
    pub fn new(subscriber: Arc<S>, channel: ChannelName, interest: Interest, route: Route) -> Arc<Self> {
        let tag = Tag::new(interest.positioned, interest.join_leave);
        Arc::new(Self {
            subscriber,
            channel,
            liveness: Liveness::new(route, tag),
            slot: AtomicU32::new(u32::MAX),
        })
    }

    /// Who is subscribed.
    pub fn subscriber(&self) -> &Arc<S> {
        &self.subscriber
    }

    /// To what.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// What it gets.
    pub fn interest(&self) -> Interest {
        let (positioned, join_leave) = self.liveness.tag().get();
        Interest {
            positioned,
            join_leave,
        }
    }

    /// Queues a push, unless the subscription has ended.
    pub fn push(&self, kind: Kind, encoded: &mut Encoded<'_>) {
        let piece = encoded.get(self.subscriber.codec());
        self.subscriber.outbound().push_live(&self.liveness, kind, piece);
    }

    /// Has `meter` follow the push that comes next, unless it goes on a stream of its own.
    /// [`check_followed`](Self::check_followed) has to be called after that push.
    pub(super) fn follow(&self, meter: &DeliveryMeter, start: &Start, encoded: &mut Encoded<'_>) {
        if self.liveness.route() == Route::Control {
            let piece = encoded.get(self.subscriber.codec());
            meter.follow(start, self.subscriber.outbound(), &piece);
        }
    }

    /// Has `meter` forget the push that has just been made, if it may not have been queued.
    pub(super) fn check_followed(&self, meter: &DeliveryMeter) {
        let outbound = self.subscriber.outbound();
        if !outbound.takes(&self.liveness) {
            meter.forget(outbound);
        }
    }

    /// Ends it: nothing is queued for it from now on. Whether it was live.
    pub fn end(&self) -> bool {
        self.subscriber.outbound().end(&self.liveness)
    }

    pub(super) fn slot(&self) -> usize {
        self.slot.load(Ordering::Relaxed) as usize
    }

    pub(super) fn set_slot(&self, slot: usize) {
        let slot = u32::try_from(slot).expect("a gateway has fewer than 2³² connections");
        self.slot.store(slot, Ordering::Relaxed);
    }
}
