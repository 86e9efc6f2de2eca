//! How fast is copied before the seal.

use std::num::NonZeroU64;
use std::time::Duration;

/// Waits shorter than this are saved up: a pause costs a timer.
const WORTH_A_PAUSE: Duration = Duration::from_millis(5);

/// Spreads bytes over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: Option<NonZeroU64>,
    /// When everything sent so far is paid for.
    paid: Duration,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        Self {
            rate,
            paid: Duration::ZERO,
        }
    }

    /// Notes that `bytes` have been sent; how long to pause before the next. What was not used before is lost: after a
    /// quiet time there is no burst.
    pub(super) fn sent(&mut self, now: Duration, bytes: u64) -> Option<Duration> {
        let rate = self.rate?;
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = self.paid.max(now).saturating_add(cost);
        let ahead = self.paid.saturating_sub(now);
        (ahead >= WORTH_A_PAUSE).then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spread_over_time_and_rests_are_not_saved_up() {
        let mut pace = Pace::new(NonZeroU64::new(1000));
        let second = Duration::from_secs(1);
        assert_eq!(pace.sent(second, 500), Some(second / 2));
        assert_eq!(pace.sent(second * 3 / 2, 1), None);
        assert_eq!(pace.sent(second * 10, 1000), Some(second));
        assert_eq!(Pace::new(None).sent(second, u64::MAX), None);
    }
}
