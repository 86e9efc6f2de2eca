//! What the server API does to one connection.

use bytes::Bytes;
use campanile_common::message::Unsubscribe;
use campanile_common::{ChannelName, Disconnect, Position, Timestamp};

use crate::auth::SubscriptionOverride;

/// A command of the server API to one connection. The API has checked that it makes sense; what a session cannot
/// carry out (it is not subscribed, it is subscribed already) it ignores.
#[derive(Clone, Debug)]
pub enum ServerCommand {
    /// Subscribe it, server-side.
    Subscribe(Box<ServerSubscribe>),
    /// End a subscription and tell the client so.
    Unsubscribe {
        /// The channel.
        channel: ChannelName,
        /// What the client is told; from 2500 on it subscribes again.
        unsubscribe: Unsubscribe,
    },
    /// Close it.
    Disconnect(Disconnect),
    /// Answer what it has asked for, take no more, and close it: the gateway ends.
    GoElsewhere,
    /// Change when it expires.
    Refresh(ServerRefresh),
}

/// A server-side subscription.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionSettings {
    /// Information about the subscriber, for presence and join messages; empty: none.
    pub info: Bytes,
    /// Anything for the client, in the answer; empty: nothing.
    pub data: Bytes,
    /// When the subscription expires; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// What differs from the namespace's rules.
    pub overrides: SubscriptionOverride,
}

/// A subscription that the server API asks for.
#[derive(Clone, Debug)]
pub struct ServerSubscribe {
    /// The channel.
    pub channel: ChannelName,
    /// How it is subscribed.
    pub settings: SubscriptionSettings,
    /// Send first what was published since.
    pub recover_since: Option<Position>,
}

/// A change of a connection's expiry.
#[derive(Clone, Debug, Default)]
pub struct ServerRefresh {
    /// It has expired: close it.
    pub expired: bool,
    /// The new time; `None`: it does not expire any more.
    pub expires_at: Option<Timestamp>,
    /// New information about the connection; `None`: as it was.
    pub info: Option<Bytes>,
}
