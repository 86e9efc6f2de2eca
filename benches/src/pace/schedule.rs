//! Intended times.

use std::time::Duration;

use crate::plan::Share;

/// The intended times of events that come at a steady rate, alone or in bursts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Events a second.
    rate: f64,
    /// Events that are meant for the same time.
    burst: u64,
    /// Which of the events are meant: this one of each `of` that follow each other.
    index: u64,
    of: u64,
}

impl Schedule {
    /// `rate` events a second on average, `burst` of them at a time. A rate of nothing never comes to an event.
    #[must_use]
    pub fn new(rate: f64, burst: u32) -> Self {
        Self {
            rate: rate.max(0.0),
            burst: burst.max(1).into(),
            index: 0,
            of: 1,
        }
    }

    /// A worker's part of the events. All workers' parts together are the whole, each event at its own time: the load is
    /// the same however many workers make it.
    #[must_use]
    pub fn part(self, share: Share) -> Self {
        Self {
            index: share.index as u64,
            of: share.of.max(1) as u64,
            ..self
        }
    }

    /// Whether there ever is an event.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.rate > 0.0
    }

    /// When the event of this number (from 0) is meant to happen, from the beginning. `None`: never.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact for 2^53 events")]
    pub fn at(&self, number: u64) -> Option<Duration> {
        let number = number * self.of + self.index;
        let before = number - number % self.burst;
        Duration::try_from_secs_f64(before as f64 / self.rate).ok()
    }

    /// How many events are meant to have happened once so much time has passed, those of this very instant included.
    #[must_use]
    pub fn due(&self, after: Duration) -> u64 {
        let whole = Self {
            index: 0,
            of: 1,
            ..*self
        };
        (whole.due_of_all(after) + self.of - 1 - self.index) / self.of
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "neither negative nor beyond 2^53, and corrected below"
    )]
    fn due_of_all(&self, after: Duration) -> u64 {
        let bursts = (after.as_secs_f64() * self.rate / self.burst as f64) as u64;
        let is_due = |number: u64| self.at(number).is_some_and(|at| at <= after);
        // Rounding may be off by one either way.
        let mut due = bursts.saturating_sub(1) * self.burst;
        while is_due(due) {
            due += self.burst;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_due_is_what_was_meant_until_now(
            rate in 0.01_f64..1e6, burst in 1_u32..200, milliseconds in 0_u64..100_000,
        ) {
            let schedule = Schedule::new(rate, burst);
            let after = Duration::from_millis(milliseconds);
            let due = schedule.due(after);
            prop_assert!(due > 0 && schedule.at(due - 1).unwrap() <= after);
            prop_assert!(schedule.at(due).unwrap() > after);
        }
    }

    proptest! {
        #[test]
        fn what_the_workers_do_together_is_what_one_would_do(
            rate in 0.1_f64..1e4, burst in 1_u32..40, of in 1_usize..6, milliseconds in 0_u64..3_000,
        ) {
            let whole = Schedule::new(rate, burst);
            let after = Duration::from_millis(milliseconds);
            let mut times = Vec::new();
            for index in 0..of {
                let part = whole.part(Share { index, of });
                let due = part.due(after);
                prop_assert!(part.at(due).unwrap() > after);
                times.extend((0..due).map(|number| part.at(number).unwrap()));
            }
            times.sort_unstable();
            let expected: Vec<_> = (0..whole.due(after)).map(|number| whole.at(number).unwrap()).collect();
            prop_assert_eq!(times, expected);
        }
    }

    #[test]
    fn bursts_keep_the_rate() {
        let schedule = Schedule::new(100.0, 10);
        let at = |number| schedule.at(number).unwrap().as_millis();
        assert_eq!([at(0), at(9), at(10), at(19), at(100)], [0, 0, 100, 100, 1_000]);
        assert_eq!(schedule.due(Duration::ZERO), 10);
        assert_eq!(schedule.due(Duration::from_millis(99)), 10);
        assert_eq!(schedule.due(Duration::from_millis(100)), 20);
    }

    #[test]
    fn no_rate_is_no_event() {
        let schedule = Schedule::new(0.0, 1);
        assert_eq!(schedule.at(1), None);
        assert_eq!(schedule.due(Duration::from_secs(9)), 0);
    }
}
