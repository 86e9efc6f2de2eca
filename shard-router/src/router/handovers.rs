//! The partitions' [`Handover`]s, with a lock each.

use parking_lot::{Mutex, MutexGuard};

use crate::handover::Handover;
use crate::partition::Partition;

/// By partition index. A lock is held for a few steps at a time, never while a channel's is taken: those come first.
pub(super) struct Handovers(Box<[Cell]>);

struct Cell {
    handover: Mutex<Handover>,
}

impl Default for Handovers {
    fn default() -> Self {
        let cell = |_| Cell {
            handover: Mutex::default(),
        };
        Self(Partition::all().map(cell).collect())
    }
}

impl Handovers {
    pub(super) fn lock(&self, partition: Partition) -> MutexGuard<'_, Handover> {
        self.0[partition.index()].handover.lock()
    }

    /// Whether the source of the partition's present move is known to have sealed it.
    pub(super) fn is_sealed_at_source(&self, partition: Partition) -> bool {
        self.lock(partition).is_sealed_at_source()
    }
}
