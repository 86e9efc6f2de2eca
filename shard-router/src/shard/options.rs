//! The bounds within which a gateway talks to one shard.

use std::time::Duration;

/// How a gateway talks to one shard. The worst case in memory per shard is `queue_bytes` × `lanes` for requests
/// plus `inbox_bytes` × `links` for what arrives, each passed by at most one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// How long an operation may take from the call to its answer, and a connection from its start to its use.
    pub command_timeout: Duration,
    /// Command connections. A partition's commands always take the same one. Two let one batch travel while another
    /// is carried out; more help only where a single connection's bandwidth is the limit.
    pub lanes: u8,
    /// Pub/Sub connections.
    pub links: u8,
    /// Requests that may wait in each lane.
    pub queue_requests: usize,
    /// Bytes of requests that may wait in each lane.
    pub queue_bytes: usize,
    /// Messages that may wait for the router on each link.
    pub inbox_messages: usize,
    /// Bytes of messages that may wait for the router on each link.
    pub inbox_bytes: usize,
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self {
            command_timeout: Duration::from_secs(2),
            lanes: 2,
            links: 1,
            // Two seconds' worth at 32,000 requests a second and lane.
            queue_requests: 65_536,
            queue_bytes: 64 << 20,
            inbox_messages: 65_536,
            inbox_bytes: 64 << 20,
        }
    }
}
