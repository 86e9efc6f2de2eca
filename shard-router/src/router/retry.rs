//! How long to wait between attempts.

use std::time::Duration;

use rand::Rng;

/// Growing, jittered pauses between attempts at the same thing.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    growth: f64,
    max: Duration,
}

impl Backoff {
    /// For a partition that changes hands at this moment: from the seal to the opening it takes a few milliseconds to
    /// some tens of them, and each pause that is too long is added to the publishers'.
    pub(super) fn moving() -> Self {
        Self {
            next: Duration::from_millis(2),
            growth: 1.25,
            max: Duration::from_millis(20),
        }
    }

    /// For a partition that nobody serves, it is not known how long.
    pub(super) fn owner() -> Self {
        Self {
            next: Duration::from_millis(5),
            growth: 2.0,
            max: Duration::from_millis(200),
        }
    }

    /// For a channel whose shard is in trouble.
    pub(super) fn channel() -> Self {
        Self {
            next: Duration::from_millis(20),
            growth: 2.0,
            max: Duration::from_secs(1),
        }
    }

    /// The next pause: between half and all of the present step, which grows up to the maximum.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next = self.next.mul_f64(self.growth).min(self.max);
        pause
    }
}
