//! A shard as the topology knows it, and its part in the deployment.

use serde::{Deserialize, Serialize};

use super::id::{Generation, Incarnation};

/// A shard as the topology knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Where it is, without credentials: for people, and to notice that a name now means another server.
    pub address: String,
    /// Its share relative to the others'.
    pub weight: u32,
    /// Whether it keeps everything it acknowledged across a restart (`appendfsync always`).
    pub durable: bool,
    /// What may be placed on it.
    pub state: ShardState,
    /// The run that is trusted; `None` until the coordinator first reached it.
    pub incarnation: Option<Incarnation>,
    /// The generation at which that run was admitted. Connections are made anew when it changes.
    pub admitted: Generation,
}

/// A shard's part in the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// Holds partitions and may be given more.
    Active,
    /// Keeps what it has until that has moved away.
    Draining,
}
