//! Whose a partition is, and whose it was.

use crate::topology::{Generation, MoveHistory, PartitionState, ShardId};

/// The shards at which a partition's channels are subscribed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Owners {
    #[default]
    Unknown,
    One(ShardId),
    Two {
        from: ShardId,
        to: ShardId,
        generation: Generation,
        history: MoveHistory,
    },
}

/// Whatever another shard sends waits for this one's last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    pub(super) shard: ShardId,
    /// A marker of this generation, or a later one, says that nothing more comes; `None`: no marker says so.
    pub(super) through: Option<Generation>,
    /// Set while this is the drain of a move whose end has not been noticed.
    pub(super) ends: Option<MoveHistory>,
}

impl Owners {
    pub(super) fn of(state: &PartitionState) -> Self {
        match state {
            PartitionState::Stable(shard) | PartitionState::Opening { shard, .. } => Self::One(shard.clone()),
            PartitionState::Moving {
                from,
                to,
                generation,
                history,
                ..
            } => Self::Two {
                from: from.clone(),
                to: to.clone(),
                generation: *generation,
                history: *history,
            },
        }
    }

    pub(super) fn names(&self, shard: &ShardId) -> bool {
        match self {
            Self::Unknown => false,
            Self::One(owner) => owner == shard,
            Self::Two { from, to, .. } => from == shard || to == shard,
        }
    }
}
