//! What an application is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use campanile_common::message::{self, ClientInfo};
use campanile_common::{Epoch, Position};
use serde::Deserialize;

use crate::{OpenError, Reason, RequestError, TransportKind};

/// A client's connection, roughly. [`ClientEvent`]s tell more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// There is none, and none is wanted.
    #[default]
    Disconnected,
    /// There is none, and the client does what it takes to have one.
    Connecting,
    /// There is one.
    Connected,
}

/// A subscription, roughly. [`SubscriptionEvent`]s tell more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    /// It is not wanted.
    #[default]
    Unsubscribed,
    /// It is wanted, and will be there when the connection is and the server allows it.
    Subscribing,
    /// It is there: what is published is delivered.
    Subscribed,
}

/// What happens to a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// It is connecting: the application wants it, or a connection was lost.
    Connecting(Reason),
    /// It is connected.
    Connected(Connected),
    /// It is disconnected, and stays so until [`connect`](crate::Client::connect) is called.
    Disconnected(Reason),
    /// The application's server side sent this client a message.
    Message(Bytes),
    /// Something happened in a subscription that the server made for this client. It has no
    /// [`Subscription`](crate::Subscription) of its own.
    ServerSide {
        /// The channel.
        channel: String,
        /// What happened.
        event: SubscriptionEvent,
    },
    /// Something went wrong. If it is the end of anything, another event says so; this one is for logs.
    Error(ClientError),
    /// Whoever reads this stream was too slow: this many events that came before the next one are missing.
    Lagged(u64),
}

/// What happens to a subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubscriptionEvent {
    /// It is subscribing: the application wants it, or the connection was lost, or the server asks for a new start.
    Subscribing(Reason),
    /// It is subscribed. Publications that were missed follow, if [`Subscribed::recovered`].
    Subscribed(Subscribed),
    /// It has ended, and stays so until [`subscribe`](crate::Subscription::subscribe) is called.
    Unsubscribed(Reason),
    /// Something was published.
    Publication(Publication),
    /// Someone subscribed.
    Join(ClientInfo),
    /// Someone is no longer subscribed.
    Leave(ClientInfo),
    /// Something went wrong. If it is the end of the subscription, another event says so; this one is for logs.
    Error(SubscriptionError),
    /// Whoever reads this stream was too slow: events are missing here.
    Lagged(Lagged),
}

/// What a slow reader of events has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lagged {
    /// How many events.
    pub missed: u64,
    /// The position before the first of them, where the channel has a stream: its
    /// [`history`](crate::Subscription::history) from there on has what is missing.
    pub since: Option<Position>,
}

/// A connection that was opened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Connected {
    /// The server's name for it.
    pub client: String,
    /// The server's version.
    pub version: String,
    /// What it goes over.
    pub transport: TransportKind,
    /// What the application's server side sent along.
    pub data: Bytes,
}

/// A subscription that was opened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Subscribed {
    /// Whether the server will make up for publications that are missed while the connection is lost.
    pub recoverable: bool,
    /// Whether the server watches that nothing gets lost on the way to it.
    pub positioned: bool,
    /// Whether recovery was asked for: something was known of the stream before.
    pub was_recovering: bool,
    /// Whether nothing is missing since what was known of the stream. If this is false while
    /// [`was_recovering`](Self::was_recovering), there may be a hole, and the application reads its state anew.
    pub recovered: bool,
    /// How many publications follow that were missed.
    pub recovered_publications: usize,
    /// Why nothing was recovered although it was asked for, where the server says so.
    pub recovery_reason: String,
    /// The end of the stream, before those publications.
    pub position: Option<Position>,
    /// What the application's server side sent along.
    pub data: Bytes,
}

/// One message of a channel.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Publication {
    /// The payload.
    pub data: Bytes,
    /// Its number in the stream, where the channel has one.
    pub offset: Option<u64>,
    /// Who published it, where that was a client.
    pub info: Option<ClientInfo>,
    /// Labels of the publisher's choosing.
    pub tags: BTreeMap<String, String>,
    /// When it was published, in milliseconds since the Unix epoch, where the server says so.
    pub time: Option<i64>,
}

impl Publication {
    /// The payload as a value, if it is JSON that fits.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.data)
    }
}

impl From<message::Publication> for Publication {
    fn from(publication: message::Publication) -> Self {
        Self {
            data: publication.data,
            offset: (publication.offset != 0).then_some(publication.offset),
            info: publication.info.map(|info| *info),
            tags: publication.tags,
            time: (publication.time != 0).then_some(publication.time),
        }
    }
}

/// What went wrong with a client.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No transport could be opened.
    #[error("cannot open a connection")]
    Open(#[source] Arc<OpenError>),
    /// The server refused the connection, for the time being.
    #[error("the server does not take the connection")]
    Connect(#[source] RequestError),
    /// The application has no token at hand.
    #[error("no token for the connection")]
    Token(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The server did not take a new token, for the time being.
    #[error("the connection's token was not renewed")]
    Refresh(#[source] RequestError),
    /// A token is asked for, and nothing was set that could supply it.
    #[error("the connection's token has expired, and there is no token source")]
    NoTokenSource,
}

/// What went wrong with a subscription.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The server refused it, for the time being.
    #[error("the server does not take the subscription")]
    Subscribe(#[source] RequestError),
    /// The application has no token at hand.
    #[error("no token for the subscription")]
    Token(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The server did not take a new token, for the time being.
    #[error("the subscription's token was not renewed")]
    Refresh(#[source] RequestError),
    /// A token is asked for, and nothing was set that could supply it.
    #[error("the subscription's token has expired, and there is no token source")]
    NoTokenSource,
}

/// What was published in a channel.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The publications that were asked for.
    pub publications: Vec<Publication>,
    /// The end of the stream.
    pub position: Position,
}

impl From<message::HistoryResult> for History {
    fn from(result: message::HistoryResult) -> Self {
        Self {
            publications: result.publications.into_iter().map(Publication::from).collect(),
            position: Position::new(Epoch::from(result.epoch), result.offset.into()),
        }
    }
}

/// How many are subscribed to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceStats {
    /// Connections.
    pub clients: u32,
    /// Different users among them.
    pub users: u32,
}
