//! The topology: the versioned document that decides which shard owns which partition.
//!
//! The ring only *proposes*; what is written here is what is so, and a change in the ring's code can never re-route
//! a running fleet by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::partition::Partition;

/// The version of the topology. Only ever grows; 0 is "no topology yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A coordinator's fencing token: taken from a counter in the store when it starts, so a later coordinator's is larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

/// A shard's name, unique in the deployment and kept for the shard's life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// The shard named `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of a shard's server process (Redis: `run_id`). Another run may have lost what this one acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Arc<str>);

impl Incarnation {
    /// The run that the server calls `run_id`.
    #[must_use]
    pub fn new(run_id: &str) -> Self {
        Self(run_id.into())
    }

    /// The server's own name for the run.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

/// Who owns a partition, and what is under way about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// Owned, and open there.
    Stable(ShardId),
    /// On its way. `generation` announced the move and stays its name in fences and markers.
    Moving {
        /// Owner until the seal.
        from: ShardId,
        /// Owner from the commit on.
        to: ShardId,
        /// The generation that announced the move.
        generation: Generation,
        /// Set while the move is being abandoned: the generation of that decision.
        aborting: Option<Generation>,
    },
    /// Decided for a shard, not yet open there. Gateways treat it as `Stable`.
    Opening {
        /// The owner to be.
        shard: ShardId,
        /// The generation that decided it.
        generation: Generation,
        /// What becomes of the content.
        content: OpeningContent,
    },
}

impl PartitionState {
    /// The shard to which publications go first.
    #[must_use]
    pub fn owner(&self) -> &ShardId {
        match self {
            Self::Stable(shard) | Self::Opening { shard, .. } | Self::Moving { from: shard, .. } => shard,
        }
    }
}

/// What becomes of a partition's content when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpeningContent {
    /// The shard was admitted at this generation with what it holds: reopen that.
    Keep,
    /// Nothing there counts: wipe, then open.
    Fresh,
}

/// The topology document. Immutable once read; every change makes a new one with a higher generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Version of this document.
    pub generation: Generation,
    /// Random, so that two documents that were proposed at the same generation differ.
    pub change_id: u64,
    /// The shards by name.
    pub shards: BTreeMap<ShardId, ShardEntry>,
    /// One state for each partition, by index.
    pub partitions: Vec<PartitionState>,
}

impl Topology {
    /// The state of `partition`.
    #[must_use]
    pub fn partition(&self, partition: Partition) -> &PartitionState {
        &self.partitions[partition.index()]
    }
}
