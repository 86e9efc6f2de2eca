//! What the server sends without having been asked.

use bytes::Bytes;

use super::define::messages;
use super::{ClientInfo, Publication, SubscriptionEntry};
use crate::code;

messages! {
    /// Something that happened, in `channel` or to the connection. One of the fields after `channel` is
    /// there.
    pub struct Push {
        /// A number that stands for the channel's name.
        #[prost(int64, tag = "1")]
        pub id: i64,
        /// The channel; empty for what concerns the connection.
        #[prost(string, tag = "2")]
        pub channel: String,
        /// A publication (`pub` on the wire).
        #[prost(message, optional, boxed, tag = "4")]
        #[serde(rename = "pub")]
        pub publication: Option<Box<Publication>>,
        /// Someone subscribed.
        #[prost(message, optional, boxed, tag = "5")]
        pub join: Option<Box<Join>>,
        /// Someone is no longer subscribed.
        #[prost(message, optional, boxed, tag = "6")]
        pub leave: Option<Box<Leave>>,
        /// The server ended this client's subscription.
        #[prost(message, optional, boxed, tag = "7")]
        pub unsubscribe: Option<Box<Unsubscribe>>,
        /// A message from the application to this client alone.
        #[prost(message, optional, boxed, tag = "8")]
        pub message: Option<Box<Message>>,
        /// The server subscribed this client.
        #[prost(message, optional, boxed, tag = "9")]
        pub subscribe: Option<Box<Subscribe>>,
        /// The connection was opened without a connect command.
        #[prost(message, optional, boxed, tag = "10")]
        pub connect: Option<Box<Connect>>,
        /// The connection is about to be closed.
        #[prost(message, optional, boxed, tag = "11")]
        pub disconnect: Option<Box<Disconnect>>,
        /// The connection was refreshed by the server.
        #[prost(message, optional, boxed, tag = "12")]
        pub refresh: Option<Box<Refresh>>,
    }

    /// Someone subscribed to the channel.
    pub struct Join {
        /// Who.
        #[prost(message, optional, tag = "1")]
        pub info: Option<ClientInfo>,
    }

    /// Someone is no longer subscribed to the channel.
    pub struct Leave {
        /// Who.
        #[prost(message, optional, tag = "1")]
        pub info: Option<ClientInfo>,
    }

    /// The server ended a subscription.
    pub struct Unsubscribe {
        /// Why: see [`UnsubscribeCode`](code::UnsubscribeCode).
        #[prost(uint32, tag = "2")]
        pub code: u32,
        /// The same as text.
        #[prost(string, tag = "3")]
        pub reason: String,
    }

    /// The server subscribed this client to the channel.
    pub struct Subscribe {
        /// Whether the subscription can be recovered.
        #[prost(bool, tag = "1")]
        pub recoverable: bool,
        /// The stream's epoch.
        #[prost(string, tag = "4")]
        pub epoch: String,
        /// The stream's top.
        #[prost(uint64, tag = "5")]
        pub offset: u64,
        /// Whether the server watches over the subscription's position.
        #[prost(bool, tag = "6")]
        pub positioned: bool,
        /// Anything from the application.
        #[prost(bytes = "bytes", tag = "7")]
        pub data: Bytes,
    }

    /// A message from the application to one client.
    pub struct Message {
        /// The payload.
        #[prost(bytes = "bytes", tag = "1")]
        pub data: Bytes,
    }

    /// The connection was opened, on transports where the client cannot ask for it. The fields are those of
    /// [`ConnectResult`](super::ConnectResult).
    pub struct Connect {
        /// The name of this connection.
        #[prost(string, tag = "1")]
        pub client: String,
        /// The server's version.
        #[prost(string, tag = "2")]
        pub version: String,
        /// Anything from the application.
        #[prost(bytes = "bytes", tag = "3")]
        pub data: Bytes,
        /// The server-side subscriptions, by channel.
        #[prost(message, repeated, tag = "4")]
        pub subs: Vec<SubscriptionEntry>,
        /// Whether the connection must be refreshed.
        #[prost(bool, tag = "5")]
        pub expires: bool,
        /// Within how many seconds.
        #[prost(uint32, tag = "6")]
        pub ttl: u32,
        /// Seconds between the server's pings; 0 for no pings.
        #[prost(uint32, tag = "7")]
        pub ping: u32,
        /// Whether pings must be answered.
        #[prost(bool, tag = "8")]
        pub pong: bool,
        /// The session's secret identifier, for emulation.
        #[prost(string, tag = "9")]
        pub session: String,
        /// The gateway that holds the session, for emulation.
        #[prost(string, tag = "10")]
        pub node: String,
        /// The server's time in milliseconds since the Unix epoch.
        #[prost(int64, tag = "11")]
        pub time: i64,
    }

    /// The connection is about to be closed, on transports whose end carries no code.
    pub struct Disconnect {
        /// Why: see [`DisconnectCode`](code::DisconnectCode).
        #[prost(uint32, tag = "1")]
        pub code: u32,
        /// The same as text.
        #[prost(string, tag = "2")]
        pub reason: String,
        /// Whether the client may connect again.
        #[prost(bool, tag = "3")]
        pub reconnect: bool,
    }

    /// The server refreshed the connection.
    pub struct Refresh {
        /// Whether the connection must be refreshed again.
        #[prost(bool, tag = "1")]
        pub expires: bool,
        /// Within how many seconds.
        #[prost(uint32, tag = "2")]
        pub ttl: u32,
    }
}

impl Push {
    /// A publication in `channel`.
    pub fn publication(channel: impl Into<String>, publication: Publication) -> Self {
        Self {
            channel: channel.into(),
            publication: Some(Box::new(publication)),
            ..Self::default()
        }
    }

    /// `info` subscribed to `channel`.
    pub fn join(channel: impl Into<String>, info: ClientInfo) -> Self {
        Self {
            channel: channel.into(),
            join: Some(Box::new(Join { info: Some(info) })),
            ..Self::default()
        }
    }

    /// `info` is no longer subscribed to `channel`.
    pub fn leave(channel: impl Into<String>, info: ClientInfo) -> Self {
        Self {
            channel: channel.into(),
            leave: Some(Box::new(Leave { info: Some(info) })),
            ..Self::default()
        }
    }

    /// The server ended the subscription to `channel`.
    pub fn unsubscribe(channel: impl Into<String>, unsubscribe: impl Into<Unsubscribe>) -> Self {
        Self {
            channel: channel.into(),
            unsubscribe: Some(Box::new(unsubscribe.into())),
            ..Self::default()
        }
    }

    /// The server subscribed the client to `channel`.
    pub fn subscribe(channel: impl Into<String>, subscribe: Subscribe) -> Self {
        Self {
            channel: channel.into(),
            subscribe: Some(Box::new(subscribe)),
            ..Self::default()
        }
    }

    /// A message from the application.
    #[must_use]
    pub fn message(data: Bytes) -> Self {
        Self {
            message: Some(Box::new(Message { data })),
            ..Self::default()
        }
    }

    /// The connection is about to be closed.
    pub fn disconnect(disconnect: impl Into<Disconnect>) -> Self {
        Self {
            disconnect: Some(Box::new(disconnect.into())),
            ..Self::default()
        }
    }

    /// The connection was refreshed.
    #[must_use]
    pub fn refresh(refresh: Refresh) -> Self {
        Self {
            refresh: Some(Box::new(refresh)),
            ..Self::default()
        }
    }
}

impl From<code::UnsubscribeCode> for Unsubscribe {
    fn from(code: code::UnsubscribeCode) -> Self {
        Self {
            code: code.code(),
            reason: code.reason().into(),
        }
    }
}

impl From<code::Disconnect> for Disconnect {
    fn from(disconnect: code::Disconnect) -> Self {
        Self {
            code: disconnect.code,
            reconnect: disconnect.reconnects(),
            reason: disconnect.reason.into_owned(),
        }
    }
}
