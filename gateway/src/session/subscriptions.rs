//! The subscriptions of one connection, kept small: most connections have few, and none pays for what it does not
//! have.

use bytes::Bytes;
use campanile_common::{ChannelName, Timestamp};

use super::RequestId;
use super::plan::Plan;

/// One subscription.
pub(super) struct Subscription {
    pub(super) channel: ChannelName,
    /// What other subscribers may know; empty: nothing.
    pub(super) info: Bytes,
    /// When it expires; `None`: never.
    pub(super) expires_at: Option<Timestamp>,
    pub(super) traits: Traits,
    pub(super) stage: Stage,
}

/// What a subscription is, and has done that must be undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, a byte each")]
pub(super) struct Traits {
    /// The server subscribed the client, not the client itself.
    pub(super) server_side: bool,
    /// It comes from the connection token.
    pub(super) from_connection_token: bool,
    /// It comes from a subscription token: the client can renew it.
    pub(super) from_subscription_token: bool,
    pub(super) positioned: bool,
    pub(super) presence: bool,
    pub(super) join_leave: bool,
}

/// How far a subscription is.
pub(super) enum Stage {
    /// The answer to this request will decide.
    Joining(RequestId),
    /// Delivery goes on.
    Active,
    /// A server-side subscription failed for a reason that may pass, and is tried again.
    Waiting(Box<Retry>),
}

/// The next attempt of a server-side subscription.
pub(super) struct Retry {
    pub(super) due: Timestamp,
    /// How many have failed.
    pub(super) failures: u8,
    pub(super) plan: Plan,
}

/// Subscriptions in the order of their channels' names.
#[derive(Default)]
pub(super) struct Subscriptions(Vec<Subscription>);

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, channel: &str) -> Option<&Subscription> {
        self.find(channel).ok().map(|index| &self.0[index])
    }

    pub(super) fn get_mut(&mut self, channel: &str) -> Option<&mut Subscription> {
        self.find(channel).ok().map(|index| &mut self.0[index])
    }

    /// Whether the client is subscribed, not only about to be.
    pub(super) fn is_active(&self, channel: &str) -> bool {
        self.get(channel)
            .is_some_and(|found| matches!(found.stage, Stage::Active))
    }

    /// Adds one; the channel must not be there.
    pub(super) fn insert(&mut self, subscription: Subscription) {
        if let Err(index) = self.find(&subscription.channel) {
            if self.0.len() == self.0.capacity() {
                // Slower growth than usual: a connection with three subscriptions pays for three.
                self.0.reserve_exact((self.0.len() / 4).max(1));
            }
            self.0.insert(index, subscription);
        } else {
            debug_assert!(false, "subscribed twice");
        }
    }

    pub(super) fn remove(&mut self, channel: &str) -> Option<Subscription> {
        let removed = self.0.remove(self.find(channel).ok()?);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(removed)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.0.iter()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Takes all of them.
    pub(super) fn take(&mut self) -> Vec<Subscription> {
        std::mem::take(&mut self.0)
    }

    fn find(&self, channel: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|subscription| subscription.channel.as_str().cmp(channel))
    }
}
