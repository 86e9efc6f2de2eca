//! The partitions' [`Handover`]s, with a lock each.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::handover::Handover;
use crate::partition::Partition;

/// By partition index.
pub(super) struct Handovers(Box<[Cell]>);

struct Cell {
    /// Whether messages may be handed on as they come: nothing is being drained, and each channel has been settled
    /// since that ended. A message then costs this look and no lock. What unsets it happens before a second shard is
    /// asked for the partition's channels, and so before anything that must not pass can arrive.
    quiet: AtomicBool,
    /// How often a drain has ended.
    rounds: AtomicU32,
    handover: Mutex<Handover>,
}

/// A handover under its lock, which is held for a few steps only and taken after a channel's.
pub(super) struct Locked<'a> {
    cell: &'a Cell,
    was_drained: bool,
    handover: MutexGuard<'a, Handover>,
}

impl Default for Handovers {
    fn default() -> Self {
        let cell = |_| Cell {
            quiet: AtomicBool::new(true),
            rounds: AtomicU32::new(0),
            handover: Mutex::default(),
        };
        Self(Partition::all().map(cell).collect())
    }
}

impl Handovers {
    pub(super) fn lock(&self, partition: Partition) -> Locked<'_> {
        let cell = &self.0[partition.index()];
        let handover = cell.handover.lock();
        Locked {
            cell,
            was_drained: handover.is_drained(),
            handover,
        }
    }

    /// Whether a message of the partition may be handed on without asking.
    pub(super) fn is_quiet(&self, partition: Partition) -> bool {
        self.0[partition.index()].quiet.load(Ordering::Acquire)
    }

    /// How often a drain of the partition has ended, for [`Handovers::settled`].
    pub(super) fn round(&self, partition: Partition) -> u32 {
        self.0[partition.index()].rounds.load(Ordering::Acquire)
    }

    /// All channels of the partition have been settled since the drain numbered `round` ended.
    pub(super) fn settled(&self, partition: Partition, round: u32) {
        let cell = &self.0[partition.index()];
        let handover = cell.handover.lock();
        if handover.is_drained() && cell.rounds.load(Ordering::Acquire) == round {
            cell.quiet.store(true, Ordering::Release);
        }
    }

    /// Whether the source of the partition's present move is known to have sealed it.
    pub(super) fn is_sealed_at_source(&self, partition: Partition) -> bool {
        self.lock(partition).is_sealed_at_source()
    }
}

impl Deref for Locked<'_> {
    type Target = Handover;

    fn deref(&self) -> &Handover {
        &self.handover
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Handover {
        &mut self.handover
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if !self.handover.is_drained() {
            self.cell.quiet.store(false, Ordering::Release);
        } else if !self.was_drained {
            self.cell.rounds.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::Subscriptions;
    use crate::topology::{Generation, MoveHistory, PartitionState, ShardId};

    #[test]
    fn a_partition_is_quiet_again_when_all_have_been_settled_since_the_last_drain() {
        let handovers = Handovers::default();
        let partition = Partition::of("x");
        let (a, b) = (ShardId::new("a"), ShardId::new("b"));
        let mut channel = Subscriptions::<()>::new(&handovers.lock(partition));
        let announce = |generation| PartitionState::Moving {
            from: a.clone(),
            to: b.clone(),
            generation: Generation(generation),
            aborting: None,
            history: MoveHistory::Keep,
        };
        channel.subscribing(&mut handovers.lock(partition), &a, 1);
        handovers.lock(partition).apply(&announce(2), Generation(2));
        assert!(!handovers.is_quiet(partition));
        handovers.lock(partition).marker(&a, 1, Generation(2));
        assert!(!handovers.is_quiet(partition), "nobody was settled");
        let earlier = handovers.round(partition);
        handovers.lock(partition).apply(&announce(3), Generation(3));
        handovers.lock(partition).marker(&a, 1, Generation(3));
        handovers.settled(partition, earlier);
        assert!(!handovers.is_quiet(partition), "another drain has ended since");
        handovers.settled(partition, handovers.round(partition));
        assert!(handovers.is_quiet(partition));
    }
}
