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
        /// What moves with it.
        history: MoveHistory,
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
    /// The shard that will own it when what is under way is over.
    #[must_use]
    pub fn destination(&self) -> &ShardId {
        match self {
            Self::Stable(shard) | Self::Opening { shard, .. } | Self::Moving { to: shard, .. } => shard,
        }
    }

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
    /// Open there already, by the move of this generation whose target it is: that stays. Otherwise as `Fresh`.
    FreshUnlessOpen(Generation),
    /// Sealed here for a move whose target is lost: the content stays, but every stream gets a new epoch, because the
    /// target may have accepted more.
    Reclaim,
}

/// What of a partition's streams moves with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveHistory {
    /// Everything.
    #[default]
    Keep,
    /// The results of publications alone: faster, and streams begin anew.
    Drop,
}

impl MoveHistory {
    /// Whether it goes without saying in the stored form.
    pub(super) fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}
