//! Why the router did not do as asked.

use crate::shard::ShardError;

/// Why the router did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RouterError {
    /// The shard that owns the channel could not do it. Whether it was done nevertheless: see the source.
    #[error("the channel's shard did not do it")]
    Shard(#[source] ShardError),
    /// No shard that is known here owns the channel's partition.
    #[error("the channel has no owner yet")]
    NoOwner,
    /// Too much waits for the same shard already. Nothing was done.
    #[error("too much waits for the channel's shard")]
    Overloaded,
    /// The stream cannot be read from that position: it belongs to another incarnation.
    #[error("the position belongs to another incarnation of the stream")]
    UnrecoverablePosition,
    /// The gateway is being shut down.
    #[error("the router is shut down")]
    ShutDown,
}

impl RouterError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn temporary(&self) -> bool {
        !matches!(self, Self::UnrecoverablePosition)
    }
}

impl From<ShardError> for RouterError {
    fn from(error: ShardError) -> Self {
        Self::Shard(error)
    }
}
