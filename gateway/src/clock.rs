//! The gateway's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use campanile_common::Timestamp;
use tokio::time::Instant;

/// Tells the time of day, and never goes back or jumps: the system's clock is asked once, the monotonic one from then
/// on. So a corrected system clock can neither stop all pings nor expire all tokens at once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock that takes over from the system's.
    #[must_use]
    pub fn start() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: Timestamp::ZERO + start,
            since: Instant::now(),
        }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.start + self.since.elapsed()
    }
}
