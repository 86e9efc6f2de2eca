//! Subscriptions that the server makes: they come and go with its say, and recover like the others.

use campanile_common::message::{self, SubscriptionEntry};

use super::lanes::Route;
use super::machine::Machine;
use super::position::Tracker;
use super::subscription::opened;
use crate::reason::{subscribing, unsubscribed};
use crate::{ClientEvent, Publication, Reason, Subscribed, SubscriptionEvent};

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct ServerSide {
    pub(super) tracker: Tracker,
    /// Whether the application was told that it is there.
    subscribed: bool,
    lane: Option<u64>,
}

impl Machine {
    pub(super) fn has_server_side(&self, channel: &str) -> bool {
        self.server_side.contains_key(channel)
    }

    /// Those of a new connection. Others are over.
    pub(super) fn take_server_side(&mut self, entries: Vec<SubscriptionEntry>) {
        let mut before = std::mem::take(&mut self.server_side);
        for entry in entries {
            let mut subscription = before.remove(&entry.channel).unwrap_or_default();
            let mut result = entry.result.unwrap_or_default();
            subscription.tracker.subscribed(&mut result);
            subscription.subscribed = true;
            subscription.lane = u64::try_from(result.id).ok().filter(|id| *id > 0);
            let lane = subscription.lane;
            self.server_side.insert(entry.channel.clone(), subscription);
            let (event, publications) = opened(result);
            self.tell_server_side(&entry.channel, SubscriptionEvent::Subscribed(event));
            for publication in publications {
                self.tell_server_side(&entry.channel, SubscriptionEvent::Publication(publication));
            }
            let early = lane.map(|id| self.lanes.open(id, Route::Server(entry.channel.clone())));
            for push in early.unwrap_or_default() {
                self.push_to_server_side(&entry.channel, push);
            }
        }
        for channel in before.into_keys() {
            let reason = unsubscribed::reason(unsubscribed::UNSUBSCRIBE_CALLED);
            self.tell_server_side(&channel, SubscriptionEvent::Unsubscribed(reason));
        }
    }

    /// The connection is gone.
    pub(super) fn lose_server_side(&mut self) {
        let mut lost = Vec::new();
        for (channel, subscription) in &mut self.server_side {
            subscription.lane = None;
            if std::mem::replace(&mut subscription.subscribed, false) {
                lost.push(channel.clone());
            }
        }
        for channel in lost {
            let reason = subscribing::reason(subscribing::TRANSPORT_CLOSED);
            self.tell_server_side(&channel, SubscriptionEvent::Subscribing(reason));
        }
    }

    /// The server has made one while the connection is there.
    pub(super) fn server_subscribes(&mut self, channel: &str, subscribe: message::Subscribe) {
        let subscription = self.server_side.entry(channel.into()).or_default();
        subscription.tracker.pushed(&subscribe);
        subscription.subscribed = true;
        let event = Subscribed {
            recoverable: subscribe.recoverable,
            positioned: subscribe.positioned,
            was_recovering: false,
            recovered: false,
            recovered_publications: 0,
            recovery_reason: String::new(),
            position: subscription.tracker.seen().cloned(),
            data: subscribe.data,
        };
        self.tell_server_side(channel, SubscriptionEvent::Subscribed(event));
    }

    /// The server has ended one.
    pub(super) fn server_unsubscribes(&mut self, channel: &str, push: message::Unsubscribe) {
        let Some(subscription) = self.server_side.remove(channel) else {
            return;
        };
        if let Some(id) = subscription.lane {
            self.lanes.end(id);
        }
        let reason = Reason::new(push.code, push.reason);
        self.tell_server_side(channel, SubscriptionEvent::Unsubscribed(reason));
    }

    /// Something happened in one.
    pub(super) fn push_to_server_side(&mut self, channel: &str, push: message::Push) {
        let Some(subscription) = self.server_side.get_mut(channel) else {
            return;
        };
        if let Some(publication) = push.publication
            && subscription.tracker.accept(&publication)
        {
            let publication = Publication::from(*publication);
            self.tell_server_side(channel, SubscriptionEvent::Publication(publication));
        } else if let Some(info) = push.join.and_then(|join| join.info) {
            self.tell_server_side(channel, SubscriptionEvent::Join(info));
        } else if let Some(info) = push.leave.and_then(|leave| leave.info) {
            self.tell_server_side(channel, SubscriptionEvent::Leave(info));
        }
    }

    fn tell_server_side(&mut self, channel: &str, event: SubscriptionEvent) {
        self.emit(ClientEvent::ServerSide {
            channel: channel.into(),
            event,
        });
    }
}
