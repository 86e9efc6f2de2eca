//! What recovery reads brought, kept a while for those who return later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Checks of the channel's position that it is kept for: between one and two intervals, which clients that return with
/// growing pauses between their attempts do not exceed.
const CHECKS: u8 = 1;

/// Bytes that all feeds of a router together may keep for those who return. When it is spent, whoever returns later costs
/// another read.
#[derive(Debug, Default)]
pub struct KeptBytes {
    left: AtomicUsize,
}

/// One feed's part of [`KeptBytes`], given back when it is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    budget: Arc<KeptBytes>,
    bytes: usize,
    checks: u8,
}

impl KeptBytes {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes),
        })
    }

    /// A part of it, if there is enough left.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Kept> {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok()?;
        Some(Kept {
            budget: Arc::clone(self),
            bytes,
            checks: CHECKS,
        })
    }
}

impl Kept {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The channel's position is about to be checked. Whether it was kept long enough.
    pub(super) fn checked(&mut self) -> bool {
        let over = self.checks == 0;
        self.checks = self.checks.saturating_sub(1);
        over
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
