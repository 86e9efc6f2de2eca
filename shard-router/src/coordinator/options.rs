//! How a coordinator is to act.

use std::fmt;
use std::time::Duration;

use crate::topology::MoveHistory;

/// Who decides which shards there are. The same on all gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagedBy {
    /// The list in the gateways' configuration files; the latest proposal wins.
    #[default]
    File,
    /// Commands; what is configured fills an empty store, and nothing else.
    Api,
    /// A name in the DNS.
    Dns,
}

/// As in the configuration.
impl fmt::Display for ManagedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Api => "api",
            Self::Dns => "dns",
        })
    }
}

/// How a coordinator is to act. The same on all gateways, since any may coordinate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorOptions {
    /// Who decides which shards there are.
    pub managed_by: ManagedBy,
    /// How long a shard may be unreachable before its partitions are opened elsewhere; `None`: for ever.
    pub evict_after: Option<Duration>,
    /// What of their streams moves with partitions.
    pub history_on_move: MoveHistory,
    /// How many partitions move at once.
    pub max_moving: usize,
    /// Bytes that moves may copy in a second; `None`: as many as go.
    pub move_rate: Option<u64>,
    /// How long a move waits for the gateways before it is abandoned.
    pub barrier_timeout: Duration,
}

/// As configured where nothing is said.
impl Default for CoordinatorOptions {
    fn default() -> Self {
        Self {
            managed_by: ManagedBy::default(),
            evict_after: Some(Duration::from_secs(30)),
            history_on_move: MoveHistory::Keep,
            max_moving: 64,
            move_rate: Some(32 << 20),
            barrier_timeout: Duration::from_secs(10),
        }
    }
}
