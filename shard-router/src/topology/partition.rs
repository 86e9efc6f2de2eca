//! Who owns a partition, and what is under way about it.

use serde::{Deserialize, Serialize};

use super::id::{Generation, ShardId};

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
