//! Waits between attempts that failed: exponential, with full jitter.

use std::time::Duration;

use super::settings::Delays;

/// Numbers that look random, from a seed that is given: SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom
/// number generators*, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any duration up to and including `limit`, all equally likely, to the microsecond.
    pub(crate) fn up_to(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (limit + 1))
    }
}

/// Counts attempts that failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// Attempts after which the wait no longer grows by itself, so that nothing overflows.
    const MAX_DOUBLINGS: u32 = 31;

    /// How long to wait before the next attempt: `min` and a random part of what doubles with each, together at most
    /// `max`. Clients that lost their server at one moment thus come back one by one.
    pub(crate) fn next(&mut self, delays: Delays, random: &mut Random) -> Duration {
        let doublings = self.failed.min(Self::MAX_DOUBLINGS);
        self.failed = self.failed.saturating_add(1);
        let span = delays.min.saturating_mul(1 << doublings).min(delays.max);
        (delays.min + random.up_to(span)).min(delays.max)
    }

    /// An attempt succeeded.
    pub(crate) const fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays {
        min: Duration::from_millis(500),
        max: Duration::from_secs(20),
    };

    #[test]
    fn waits_stay_within_their_limits_and_grow() {
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let mut backoff = Backoff::default();
            for attempt in 0..40 {
                let wait = backoff.next(DELAYS, &mut random);
                let most = DELAYS.min + DELAYS.min.saturating_mul(1 << attempt.min(31));
                assert!(
                    wait >= DELAYS.min && wait <= DELAYS.max.min(most),
                    "{attempt}: {wait:?}"
                );
            }
            backoff.reset();
            assert!(backoff.next(DELAYS, &mut random) <= 2 * DELAYS.min);
        }
    }

    #[test]
    fn clients_do_not_come_back_together() {
        let first_waits = |seed| Backoff::default().next(DELAYS, &mut Random::new(seed));
        let mut waits: Vec<_> = (0..1000).map(first_waits).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 990, "{} different waits", waits.len());
        assert!(waits[100] < Duration::from_millis(600) && waits[890] > Duration::from_millis(900));
    }

    #[test]
    fn no_wait_at_all_can_be_asked_for() {
        let none = Delays {
            min: Duration::ZERO,
            max: Duration::ZERO,
        };
        assert_eq!(Backoff::default().next(none, &mut Random::new(1)), Duration::ZERO);
    }
}
