//! Why the streams of a partition last got new epochs, as far as this gateway has seen it in the topology: so that whoever
//! comes back with a position of an earlier epoch hears the reason, whenever that is.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::audience::LossReason;
use crate::feed::{RecoveryOutcome, Subscribed};
use crate::partition::Partition;
use crate::topology::{MoveHistory, OpeningContent, PartitionState, ShardId, ShardState, Topology};

/// By partition: whether it was the loss of a shard that last ended its streams' epochs.
pub(super) struct Renewals(Box<[AtomicBool]>);

impl Default for Renewals {
    fn default() -> Self {
        Self(Partition::all().map(|_| AtomicBool::new(false)).collect())
    }
}

impl Renewals {
    /// `after` follows `before`, the topology that was applied last.
    pub(super) fn note(&self, before: Option<&Topology>, after: &Topology) {
        for (partition, state) in after.states() {
            let before = before.map(|before| before.partition(partition));
            if let Some(reason) = renewal(before, state, after) {
                let lost = reason == LossReason::ShardLost;
                self.0[partition.index()].store(lost, Ordering::Relaxed);
            }
        }
    }

    /// The reason to give where a stream of `partition` shows `reason`.
    pub(super) fn explain(&self, partition: Partition, reason: LossReason) -> LossReason {
        if reason == LossReason::EpochChanged && self.0[partition.index()].load(Ordering::Relaxed) {
            return LossReason::ShardLost;
        }
        reason
    }

    /// The same for what a subscriber is told.
    pub(super) fn explain_to(&self, partition: Partition, mut subscribed: Subscribed) -> Subscribed {
        if let Some(RecoveryOutcome::Lost(reason)) = &mut subscribed.outcome {
            *reason = self.explain(partition, *reason);
        }
        subscribed
    }
}

/// Why the epochs of a partition's streams end between `before` and `now`; `None` if they do not.
fn renewal(before: Option<&PartitionState>, now: &PartitionState, topology: &Topology) -> Option<LossReason> {
    let is_lost = |shard: &ShardId| {
        let entry = topology.shards.get(shard);
        entry.is_some_and(|entry| entry.state == ShardState::Lost)
    };
    let begins_anew = match now {
        PartitionState::Opening { content, .. } => *content != OpeningContent::Keep,
        PartitionState::Stable(_) | PartitionState::Moving { .. } => false,
    };
    let Some(before) = before else {
        // A gateway that starts in the middle of an eviction.
        let lost = begins_anew && topology.shards.keys().any(is_lost);
        return lost.then_some(LossReason::ShardLost);
    };
    let kept = match before {
        PartitionState::Moving {
            from, to, history, ..
        } => from == now.owner() || (to == now.owner() && *history == MoveHistory::Keep),
        PartitionState::Stable(owner) | PartitionState::Opening { shard: owner, .. } => owner == now.owner(),
    };
    let opens = before != now && matches!(now, PartitionState::Opening { .. });
    if kept && !opens {
        return None;
    }
    let lost = is_lost(before.owner()) || is_lost(before.destination());
    Some(if lost {
        LossReason::ShardLost
    } else {
        LossReason::EpochChanged
    })
}

#[cfg(test)]
mod tests;
