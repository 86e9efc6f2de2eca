//! Commands of clients whose transport only carries data downwards.

use bytes::Bytes;

use super::define::messages;

messages! {
    /// Commands sent beside the connection, by HTTP POST, for the session that they belong to.
    pub struct EmulationRequest {
        /// The gateway that holds the session.
        #[prost(string, tag = "1")]
        pub node: String,
        /// The session's secret identifier, from the connect result.
        #[prost(string, tag = "2")]
        pub session: String,
        /// A frame of commands in the session's codec.
        #[prost(bytes = "bytes", tag = "3")]
        pub data: Bytes,
    }
}
