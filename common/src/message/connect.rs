//! Opening a connection and keeping it valid.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::define::messages;
use super::{SubscribeRequest, SubscribeResult, SubscriptionEntry};

messages! {
    /// The first command of a connection.
    #[prost(skip_debug)]
    pub struct ConnectRequest {
        /// The connection token.
        #[prost(string, tag = "1")]
        pub token: String,
        /// Anything for the application.
        #[prost(bytes = "bytes", tag = "2")]
        pub data: Bytes,
        /// Positions to recover server-side subscriptions from, by channel.
        #[prost(btree_map = "string, message", tag = "3")]
        pub subs: BTreeMap<String, SubscribeRequest>,
        /// The client's kind, of few values: it becomes a metric's label.
        #[prost(string, tag = "4")]
        pub name: String,
        /// The client's version.
        #[prost(string, tag = "5")]
        pub version: String,
        /// Stand-ins for request headers where the transport cannot send any.
        #[prost(btree_map = "string, string", tag = "6")]
        pub headers: BTreeMap<String, String>,
        /// Bits for features of the protocol.
        #[prost(int64, tag = "7")]
        pub flag: i64,
        /// The compression dictionary that the client holds.
        #[prost(string, tag = "8")]
        pub dict: String,
        /// The profile that the client asks for.
        #[prost(string, tag = "9")]
        pub profile: String,
    }

    /// The answer to [`ConnectRequest`].
    pub struct ConnectResult {
        /// The name of this connection.
        #[prost(string, tag = "1")]
        pub client: String,
        /// The server's version.
        #[prost(string, tag = "2")]
        pub version: String,
        /// Whether the connection must be refreshed.
        #[prost(bool, tag = "3")]
        pub expires: bool,
        /// Within how many seconds.
        #[prost(uint32, tag = "4")]
        pub ttl: u32,
        /// Anything from the application.
        #[prost(bytes = "bytes", tag = "5")]
        pub data: Bytes,
        /// The server-side subscriptions, by channel.
        #[prost(message, repeated, tag = "6")]
        pub subs: Vec<SubscriptionEntry>,
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
        /// Bits for features of the protocol.
        #[prost(int64, tag = "12")]
        pub flag: i64,
        /// The compression dictionary to use.
        #[prost(message, optional, boxed, tag = "13")]
        pub dict: Option<Box<Dictionary>>,
    }

    /// A compression dictionary.
    pub struct Dictionary {
        /// Its name.
        #[prost(string, tag = "1")]
        pub id: String,
        /// Its content.
        #[prost(bytes = "bytes", tag = "2")]
        pub data: Bytes,
        /// Its content in base64.
        #[prost(string, tag = "3")]
        pub data_b64: String,
    }

    /// A new connection token before the old one expires.
    #[prost(skip_debug)]
    pub struct RefreshRequest {
        /// The connection token.
        #[prost(string, tag = "1")]
        pub token: String,
    }

    /// The answer to [`RefreshRequest`].
    pub struct RefreshResult {
        /// The name of this connection.
        #[prost(string, tag = "1")]
        pub client: String,
        /// The server's version.
        #[prost(string, tag = "2")]
        pub version: String,
        /// Whether the connection must be refreshed again.
        #[prost(bool, tag = "3")]
        pub expires: bool,
        /// Within how many seconds.
        #[prost(uint32, tag = "4")]
        pub ttl: u32,
    }
}

impl ConnectResult {
    /// The server-side subscription to `channel`.
    #[must_use]
    pub fn subscription(&self, channel: &str) -> Option<&SubscribeResult> {
        let entry = self.subs.iter().find(|entry| entry.channel == channel)?;
        entry.result.as_ref()
    }
}
