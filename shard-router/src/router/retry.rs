//! How long to wait between attempts.

use std::time::Duration;

use rand::Rng;

/// Growing, jittered pauses between attempts at the same thing.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// For a partition that changes hands: the pause in which that can happen is milliseconds.
    pub(super) fn owner() -> Self {
        Self {
            next: Duration::from_millis(5),
            max: Duration::from_millis(200),
        }
    }

    /// For a channel whose shard is in trouble.
    pub(super) fn channel() -> Self {
        Self {
            next: Duration::from_millis(20),
            max: Duration::from_secs(1),
        }
    }

    /// The next pause: between half and all of the present step, which doubles up to the maximum.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.max);
        pause
    }
}
