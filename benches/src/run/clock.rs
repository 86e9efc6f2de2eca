//! One time for all workers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time: nanoseconds since the Unix epoch, by the controller's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(u64);

impl Stamp {
    /// The point with this many nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before, as the clocks of two machines may have it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }
}

/// Tells the time. It never jumps: the wall clock is looked at once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Instant,
    at_anchor: u64,
}

impl Clock {
    /// This machine's clock.
    #[must_use]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            anchor: Instant::now(),
            at_anchor: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// The clock of somebody who is ahead by so many nanoseconds, or behind if they are negative.
    #[must_use]
    pub fn ahead_by(mut self, nanoseconds: i64) -> Self {
        self.at_anchor = self.at_anchor.saturating_add_signed(nanoseconds);
        self
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.stamp(Instant::now())
    }

    /// When that was.
    #[must_use]
    pub fn stamp(&self, instant: Instant) -> Stamp {
        let anchor = Stamp(self.at_anchor);
        match instant.checked_duration_since(self.anchor) {
            Some(after) => anchor.plus(after),
            None => {
                let before = self.anchor.duration_since(instant).as_nanos();
                Stamp(
                    self.at_anchor
                        .saturating_sub(u64::try_from(before).unwrap_or(u64::MAX)),
                )
            }
        }
    }

    /// The same as this process measures time; the past, where it reaches back too far, is the beginning of this clock.
    #[must_use]
    pub fn instant(&self, stamp: Stamp) -> Instant {
        let anchor = Stamp(self.at_anchor);
        if stamp >= anchor {
            self.anchor + stamp.since(anchor)
        } else {
            self.anchor
                .checked_sub(anchor.since(stamp))
                .unwrap_or(self.anchor)
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_and_instants_are_the_same_time() {
        let clock = Clock::new().ahead_by(-5_000_000_000);
        let now = Instant::now();
        for instant in [
            now,
            now + Duration::from_secs(9),
            now.checked_sub(Duration::from_millis(1)).unwrap(),
        ] {
            assert_eq!(clock.instant(clock.stamp(instant)), instant);
        }
        let stamp = clock.stamp(now);
        assert_eq!(
            stamp.plus(Duration::from_secs(1)).since(stamp),
            Duration::from_secs(1)
        );
        assert_eq!(stamp.since(stamp.plus(Duration::from_secs(1))), Duration::ZERO);
    }
}
