//! The transitions by which a shard leaves: evicted when it is lost, forgotten when it is empty.

use super::moving::opening;
use super::{Change, OpeningContent, PartitionState, ShardId, ShardState, Topology, TransitionError};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};

impl Topology {
    /// Goes on without `shard`, which nobody reaches: its partitions open elsewhere. One that was moving away goes to its
    /// target, whose record alone tells whether it is open there already; one that was moving there is given up.
    ///
    /// # Errors
    ///
    /// If the shard is unknown or lost already, or no shard in use would be left.
    pub fn evict(&self, change: Change, shard: &ShardId) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        let entry = next.shards.get_mut(shard);
        let entry = entry.ok_or_else(|| TransitionError::UnknownShard(shard.clone()))?;
        let before = std::mem::replace(&mut entry.state, ShardState::Lost);
        if before == ShardState::Lost {
            return Err(TransitionError::NotUsable(shard.clone()));
        }
        entry.incarnation = None;
        next.cleaning.retain(|(at, _), _| at != shard);
        let homes = next.homes().ok_or(TransitionError::NobodyLeft)?;
        for partition in Partition::all() {
            next.leave(change, shard, partition, &homes[partition.index()]);
        }
        next.plan.retain(|_, to| to != shard);
        if before == ShardState::Leaving {
            // It was to be forgotten anyway, and nothing is left to wait for.
            next.unlist(shard)?;
        }
        next.settle_plan();
        Ok(next)
    }

    /// Takes a shard off the list that is empty and was to leave, or that is lost.
    ///
    /// # Errors
    ///
    /// If the shard is unknown, or in use.
    pub fn forget(&self, change: Change, shard: &ShardId) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        next.unlist(shard)?;
        Ok(next)
    }

    /// Takes `shard` off the list.
    pub(super) fn unlist(&mut self, shard: &ShardId) -> Result<(), TransitionError> {
        let entry = self.shards.get(shard);
        let entry = entry.ok_or_else(|| TransitionError::UnknownShard(shard.clone()))?;
        let leaves = matches!(entry.state, ShardState::Leaving | ShardState::Lost);
        let named = |state: &PartitionState| state.owner() == shard || state.destination() == shard;
        let used = self.partitions.iter().any(named) || self.plan.values().any(|to| to == shard);
        if !leaves || used {
            return Err(TransitionError::InUse(shard.clone()));
        }
        self.shards.remove(shard);
        self.cleaning.retain(|(at, _), _| at != shard);
        Ok(())
    }

    /// Has `partition` go on without `shard`, at `home` if nothing else is decided.
    fn leave(&mut self, change: Change, shard: &ShardId, partition: Partition, home: &ShardId) {
        let state = self.partition(partition);
        if state.owner() != shard {
            if let PartitionState::Moving { to, aborting, .. } = &mut self.partitions[partition.index()]
                && to == shard
            {
                aborting.get_or_insert(change.generation);
            }
            return;
        }
        let (to, content) = match state {
            PartitionState::Moving { to, .. } if !holds(Safeguard::TargetInherits) => {
                let third = self.shards.keys().find(|id| self.is_active(id) && *id != to);
                (third.unwrap_or(home).clone(), OpeningContent::Fresh)
            }
            PartitionState::Moving { to, generation, .. } if !self.is_lost(to) => {
                (to.clone(), OpeningContent::FreshUnlessOpen(*generation))
            }
            _ => (home.clone(), OpeningContent::Fresh),
        };
        self.plan.remove(&partition);
        // It is wiped, or has just been filled.
        self.cleaning.remove(&(to.clone(), partition));
        self.partitions[partition.index()] = opening(to, change.generation, content);
    }
}
