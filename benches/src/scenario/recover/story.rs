//! How far the storm is, as all clients of this worker see it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::run::Stamp;
use crate::scenario::arrivals::Arrivals;

/// What has not happened yet.
const NEVER: u64 = u64::MAX;

/// How far the storm is, and how much arrived.
#[derive(Debug)]
pub(super) struct Story {
    cut: AtomicU64,
    returned: AtomicU64,
    back: AtomicU64,
    arrived: Arrivals,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Before,
    During,
    After,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            cut: AtomicU64::new(NEVER),
            returned: AtomicU64::new(NEVER),
            back: AtomicU64::new(NEVER),
            arrived: Arrivals::default(),
        }
    }
}

impl Story {
    /// The connections break.
    pub(super) fn cut_at(&self, at: Stamp) {
        self.cut.store(at.nanoseconds(), Ordering::Relaxed);
    }

    /// Clients begin to return.
    pub(super) fn return_at(&self, at: Stamp) {
        self.returned.store(at.nanoseconds(), Ordering::Relaxed);
    }

    /// When they began to return; nothing has happened later while they have not.
    pub(super) fn returned(&self) -> Stamp {
        Stamp::from_nanoseconds(self.returned.load(Ordering::Relaxed))
    }

    /// All are back.
    pub(super) fn back_at(&self, at: Stamp) {
        self.back.store(at.nanoseconds(), Ordering::Relaxed);
    }

    /// In which part this was.
    pub(super) fn part(&self, at: Stamp) -> Part {
        let at = at.nanoseconds();
        if at < self.cut.load(Ordering::Relaxed) {
            Part::Before
        } else if at < self.back.load(Ordering::Relaxed) {
            Part::During
        } else {
            Part::After
        }
    }

    /// How much arrived.
    pub(super) const fn arrived(&self) -> &Arrivals {
        &self.arrived
    }
}
