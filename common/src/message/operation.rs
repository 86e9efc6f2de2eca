//! What a client does on a connection besides subscribing.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::define::messages;
use super::{ClientInfo, Publication, StreamPosition};

messages! {
    /// A publication by a client.
    pub struct PublishRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
        /// The payload.
        #[prost(bytes = "bytes", tag = "2")]
        pub data: Bytes,
        /// The kind of subscription that it belongs to.
        #[prost(int32, tag = "3")]
        #[serde(rename = "type")]
        pub kind: i32,
        /// The key, in channels that hold keyed state.
        #[prost(string, tag = "4")]
        pub key: String,
        /// Whether the key is removed.
        #[prost(bool, tag = "5")]
        pub removed: bool,
    }

    /// The answer to [`PublishRequest`]: the publication was accepted.
    pub struct PublishResult {}

    /// Who is subscribed to a channel?
    pub struct PresenceRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
    }

    /// The answer to [`PresenceRequest`].
    pub struct PresenceResult {
        /// The subscribers, by the name of their connection.
        #[prost(btree_map = "string, message", tag = "1")]
        pub presence: BTreeMap<String, ClientInfo>,
    }

    /// How many are subscribed to a channel?
    pub struct PresenceStatsRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
    }

    /// The answer to [`PresenceStatsRequest`].
    pub struct PresenceStatsResult {
        /// Connections.
        #[prost(uint32, tag = "1")]
        pub num_clients: u32,
        /// Different users among them.
        #[prost(uint32, tag = "2")]
        pub num_users: u32,
    }

    /// What was published in a channel?
    pub struct HistoryRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
        /// How many publications at most; 0 for none, only the position; negative for no limit but the
        /// server's.
        #[prost(int32, tag = "7")]
        pub limit: i32,
        /// After this position, or before it if `reverse`.
        #[prost(message, optional, tag = "8")]
        pub since: Option<StreamPosition>,
        /// The newest first.
        #[prost(bool, tag = "9")]
        pub reverse: bool,
    }

    /// The answer to [`HistoryRequest`].
    pub struct HistoryResult {
        /// The publications asked for.
        #[prost(message, repeated, tag = "1")]
        pub publications: Vec<Publication>,
        /// The stream's epoch.
        #[prost(string, tag = "2")]
        pub epoch: String,
        /// The stream's top.
        #[prost(uint64, tag = "3")]
        pub offset: u64,
    }

    /// Are you there?
    pub struct PingRequest {}

    /// Yes.
    pub struct PingResult {}

    /// A message to the application that has no answer, nor even a command id.
    pub struct SendRequest {
        /// The payload.
        #[prost(bytes = "bytes", tag = "1")]
        pub data: Bytes,
    }

    /// A call of the application.
    pub struct RPCRequest {
        /// The payload.
        #[prost(bytes = "bytes", tag = "1")]
        pub data: Bytes,
        /// What to call.
        #[prost(string, tag = "2")]
        pub method: String,
    }

    /// The answer to [`RPCRequest`].
    pub struct RPCResult {
        /// The payload.
        #[prost(bytes = "bytes", tag = "1")]
        pub data: Bytes,
    }
}
