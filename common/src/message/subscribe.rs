//! Subscriptions: opening, keeping valid, ending.

use bytes::Bytes;

use super::Publication;
use super::define::messages;

messages! {
    /// A subscription to a channel.
    #[prost(skip_debug)]
    pub struct SubscribeRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
        /// The subscription token.
        #[prost(string, tag = "2")]
        pub token: String,
        /// Whether to recover what came after `epoch` and `offset`.
        #[prost(bool, tag = "3")]
        pub recover: bool,
        /// The epoch that `offset` counts in.
        #[prost(string, tag = "6")]
        pub epoch: String,
        /// The last publication that the client has seen.
        #[prost(uint64, tag = "7")]
        pub offset: u64,
        /// Anything for the application.
        #[prost(bytes = "bytes", tag = "8")]
        pub data: Bytes,
        /// Whether the client asks for positioning.
        #[prost(bool, tag = "9")]
        pub positioned: bool,
        /// Whether the client asks for recovery.
        #[prost(bool, tag = "10")]
        pub recoverable: bool,
        /// Whether the client asks for join and leave messages.
        #[prost(bool, tag = "11")]
        pub join_leave: bool,
        /// The algorithm of differences that the client asks for.
        #[prost(string, tag = "12")]
        pub delta: String,
        /// Which publications the client wants, by their tags.
        #[prost(message, optional, boxed, tag = "13")]
        pub tf: Option<Box<FilterNode>>,
        /// Bits for features of the protocol.
        #[prost(int64, tag = "14")]
        pub flag: i64,
        /// The kind of subscription.
        #[prost(int32, tag = "15")]
        #[serde(rename = "type")]
        pub kind: i32,
        /// The phase of a subscription to keyed state.
        #[prost(int32, tag = "16")]
        pub phase: i32,
        /// Where the next page of keyed state begins.
        #[prost(string, tag = "17")]
        pub cursor: String,
        /// The size of a page.
        #[prost(int32, tag = "18")]
        pub limit: i32,
        /// Whether pages ascend.
        #[prost(bool, tag = "19")]
        pub asc: bool,
    }

    /// The answer to [`SubscribeRequest`].
    pub struct SubscribeResult {
        /// Whether the subscription must be refreshed.
        #[prost(bool, tag = "1")]
        pub expires: bool,
        /// Within how many seconds.
        #[prost(uint32, tag = "2")]
        pub ttl: u32,
        /// Whether the subscription can be recovered.
        #[prost(bool, tag = "3")]
        pub recoverable: bool,
        /// The stream's epoch.
        #[prost(string, tag = "6")]
        pub epoch: String,
        /// What was published since the client's position, in order.
        #[prost(message, repeated, tag = "7")]
        pub publications: Vec<Publication>,
        /// Whether nothing is missing since the client's position.
        #[prost(bool, tag = "8")]
        pub recovered: bool,
        /// The stream's top, or the client's position if `publications` follow.
        #[prost(uint64, tag = "9")]
        pub offset: u64,
        /// Whether the server watches over the subscription's position.
        #[prost(bool, tag = "10")]
        pub positioned: bool,
        /// Anything from the application.
        #[prost(bytes = "bytes", tag = "11")]
        pub data: Bytes,
        /// Whether the request asked to recover.
        #[prost(bool, tag = "12")]
        pub was_recovering: bool,
        /// Whether publications may be differences.
        #[prost(bool, tag = "13")]
        pub delta: bool,
        /// A number that may stand for the channel's name in pushes.
        #[prost(int64, tag = "14")]
        pub id: i64,
        /// The kind of subscription.
        #[prost(int32, tag = "15")]
        #[serde(rename = "type")]
        pub kind: i32,
        /// The phase of a subscription to keyed state.
        #[prost(int32, tag = "16")]
        pub phase: i32,
        /// Where the next page of keyed state begins.
        #[prost(string, tag = "17")]
        pub cursor: String,
        /// A page of keyed state.
        #[prost(message, repeated, tag = "18")]
        pub state: Vec<Publication>,
        /// Milliseconds that the client waits to merge publications of its own.
        #[prost(uint32, tag = "19")]
        pub publish_debounce: u32,
        /// Why `recovered` is false although recovery was asked for. An extension of the protocol, for people who look for the
        /// reason; SDKs ignore it.
        #[prost(string, tag = "1000")]
        pub recovery_reason: String,
    }

    /// One node of a condition on a publication's tags.
    pub struct FilterNode {
        /// `and`, `or`, `not`, or empty for a comparison.
        #[prost(string, tag = "1")]
        pub op: String,
        /// The tag to compare.
        #[prost(string, tag = "2")]
        pub key: String,
        /// The comparison.
        #[prost(string, tag = "3")]
        pub cmp: String,
        /// What to compare with.
        #[prost(string, tag = "4")]
        pub val: String,
        /// What to compare with, where it is several.
        #[prost(string, repeated, tag = "5")]
        pub vals: Vec<String>,
        /// The operands of `op`.
        #[prost(message, repeated, tag = "6")]
        pub nodes: Vec<FilterNode>,
    }

    /// A new subscription token before the old one expires.
    #[prost(skip_debug)]
    pub struct SubRefreshRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
        /// The subscription token.
        #[prost(string, tag = "2")]
        pub token: String,
        /// The kind of subscription.
        #[prost(int32, tag = "3")]
        #[serde(rename = "type")]
        pub kind: i32,
        /// Keys to follow from now on.
        #[prost(message, repeated, tag = "4")]
        pub track: Vec<TrackBatch>,
        /// Keys to follow no longer.
        #[prost(string, repeated, tag = "5")]
        pub untrack: Vec<String>,
    }

    /// The answer to [`SubRefreshRequest`].
    pub struct SubRefreshResult {
        /// Whether the subscription must be refreshed again.
        #[prost(bool, tag = "1")]
        pub expires: bool,
        /// Within how many seconds.
        #[prost(uint32, tag = "2")]
        pub ttl: u32,
        /// The present values of keys that are followed anew.
        #[prost(message, repeated, tag = "3")]
        pub items: Vec<Publication>,
    }

    /// Keys that the application allows a client to follow.
    pub struct TrackBatch {
        /// The application's signature over them.
        #[prost(string, tag = "1")]
        pub signature: String,
        /// The keys.
        #[prost(message, repeated, tag = "2")]
        pub items: Vec<KeyedItem>,
    }

    /// A key, and which version of its value the client has.
    pub struct KeyedItem {
        /// The key.
        #[prost(string, tag = "1")]
        pub key: String,
        /// The version.
        #[prost(uint64, tag = "2")]
        pub version: u64,
    }

    /// The end of a subscription.
    pub struct UnsubscribeRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        pub channel: String,
    }

    /// The answer to [`UnsubscribeRequest`].
    pub struct UnsubscribeResult {}
}
