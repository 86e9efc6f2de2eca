//! What streams are made of.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::define::messages;

messages! {
    /// One message in a channel.
    pub struct Publication {
        /// The payload.
        #[prost(bytes = "bytes", tag = "4")]
        pub data: Bytes,
        /// Who published it, where a client did.
        #[prost(message, optional, boxed, tag = "5")]
        pub info: Option<Box<ClientInfo>>,
        /// Its number in the stream; 0 where the channel keeps none.
        #[prost(uint64, tag = "6")]
        pub offset: u64,
        /// Labels of the publisher's choosing.
        #[prost(btree_map = "string, string", tag = "7")]
        pub tags: BTreeMap<String, String>,
        /// Whether `data` is a difference to the publication before.
        #[prost(bool, tag = "8")]
        pub delta: bool,
        /// When it was published, in milliseconds since the Unix epoch.
        #[prost(int64, tag = "9")]
        pub time: i64,
        /// The channel, where the message around does not say it.
        #[prost(string, tag = "10")]
        pub channel: String,
        /// The key, in channels that hold keyed state.
        #[prost(string, tag = "11")]
        pub key: String,
        /// Whether the key is removed.
        #[prost(bool, tag = "12")]
        pub removed: bool,
        /// The key's rank.
        #[prost(sint64, tag = "13")]
        pub score: i64,
        /// The epoch that `offset` counts in, where the message around does not say it.
        #[prost(string, tag = "14")]
        pub epoch: String,
        /// The payload that this one replaces.
        #[prost(bytes = "bytes", tag = "15")]
        pub prev_data: Bytes,
        /// The publisher's version of the data.
        #[prost(uint64, tag = "16")]
        pub version: u64,
    }

    /// Who a client is, as other clients may see it.
    pub struct ClientInfo {
        /// The user; empty for anonymous clients.
        #[prost(string, tag = "1")]
        pub user: String,
        /// The client: one connection of that user.
        #[prost(string, tag = "2")]
        pub client: String,
        /// What the application attached to the connection.
        #[prost(bytes = "bytes", tag = "3")]
        pub conn_info: Bytes,
        /// What the application attached to the subscription.
        #[prost(bytes = "bytes", tag = "4")]
        pub chan_info: Bytes,
    }

    /// A place in a stream, in the form of the wire. See [`Position`](crate::Position).
    pub struct StreamPosition {
        /// The last publication before this position.
        #[prost(uint64, tag = "1")]
        pub offset: u64,
        /// The incarnation of the stream that `offset` counts in.
        #[prost(string, tag = "2")]
        pub epoch: String,
    }
}

impl From<crate::Position> for StreamPosition {
    fn from(position: crate::Position) -> Self {
        Self {
            offset: position.offset.get(),
            epoch: position.epoch.as_str().into(),
        }
    }
}

impl From<StreamPosition> for crate::Position {
    fn from(position: StreamPosition) -> Self {
        Self::new(position.epoch.into(), position.offset.into())
    }
}
