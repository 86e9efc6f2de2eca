//! The wheel itself, without a clock.

use std::time::Duration;

use campanile_common::Timestamp;

/// How finely time is divided. Timeouts of sessions are seconds.
pub const TICK: Duration = Duration::from_millis(100);

const TICK_MILLIS: u64 = 100;

/// Slots of the wheel. What lies further ahead than they reach (51 s, above the usual ping interval) is put into the
/// last one.
const SLOTS: u64 = 512;

/// Keys by the time at which they are due.
#[derive(Debug)]
pub struct Wheel<K> {
    slots: Vec<Vec<K>>,
    /// The next slot to be emptied is that of this tick; ticks are counted from the Unix epoch.
    next: u64,
}

impl<K> Wheel<K> {
    /// An empty wheel.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            next: now.as_millis() / TICK_MILLIS,
        }
    }

    /// Puts `key` where it is due at `at`, and never earlier; less than one tick later. If `at` is beyond the wheel's
    /// reach, the end of its reach takes its place. The time that holds is returned.
    pub fn insert(&mut self, at: Timestamp, key: K) -> Timestamp {
        let wanted = at.as_millis().div_ceil(TICK_MILLIS);
        let tick = wanted.clamp(self.next, self.next + SLOTS - 1);
        self.slots[slot(tick)].push(key);
        at.min(Timestamp::from_millis(tick * TICK_MILLIS))
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.iter().map(Vec::len).sum()
    }

    /// What is due in the earliest slot that `now` has passed; `None` if it has passed none. To be repeated until then.
    pub fn turn(&mut self, now: Timestamp) -> Option<Vec<K>> {
        if self.next > now.as_millis() / TICK_MILLIS {
            return None;
        }
        let due = std::mem::take(&mut self.slots[slot(self.next)]);
        self.next += 1;
        Some(due)
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).expect("there are few slots")
}
