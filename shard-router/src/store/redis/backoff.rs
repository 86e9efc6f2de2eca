//! How long to wait before trying to connect again.

use std::time::Duration;

use rand::Rng as _;

/// The first wait: short, because most losses are a connection cut once.
const FIRST: Duration = Duration::from_millis(50);

/// The longest wait, within which a store that has come back is noticed.
const LONGEST: Duration = Duration::from_secs(2);

/// Doubling waits with jitter, so that the gateways of a cluster do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits between half of the present length and all of it; the next wait is up to twice as long.
    pub(super) async fn wait(&mut self) {
        let length = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next = (self.next * 2).min(LONGEST);
        tokio::time::sleep(length).await;
    }
}
