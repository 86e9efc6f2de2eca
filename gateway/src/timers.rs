//! The timeouts of all sessions in one wheel, instead of a timer for each.
//!
//! A session has at most one entry that matters: at its next timeout it looks at the time and says when to wake it
//! again. So nothing is ever taken out of the wheel: an entry that has become pointless, because the session ended or
//! its timeout moved to later, fires and finds nothing to do. Pings come every few seconds and bound the number of those.

mod wheel;

use std::sync::{Arc, Weak};

use campanile_common::Timestamp;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
pub use wheel::{TICK, Wheel};

/// Something that is woken at a time.
pub trait Sleeper: Send + Sync + 'static {
    /// The time has come; or it is earlier, and the sleeper asks to be woken again.
    fn wake_up(self: Arc<Self>, now: Timestamp);
}

/// The wheel, and the task that turns it.
#[derive(Debug)]
pub struct Timers<S> {
    wheel: Mutex<Wheel<Weak<S>>>,
    clock: Clock,
}

impl<S: Sleeper> Timers<S> {
    /// A wheel that stands still until it is [`run`](Self::run).
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            wheel: Mutex::new(Wheel::new(clock.now())),
            clock,
        }
    }

    /// Wakes `sleeper` at `at`, or up to one [`TICK`] later, if it still exists. Earlier if that is beyond the wheel's
    /// reach; when, is returned.
    pub fn wake_at(&self, at: Timestamp, sleeper: &Arc<S>) -> Timestamp {
        self.wheel.lock().insert(at, Arc::downgrade(sleeper))
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wheel.lock().len()
    }

    /// Turns the wheel, for ever.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.turn();
        }
    }

    fn turn(&self) {
        let now = self.clock.now();
        loop {
            // One slot at a time, so that the lock is not held while sleepers wake up.
            let Some(due) = self.wheel.lock().turn(now) else {
                return;
            };
            for sleeper in due.iter().filter_map(Weak::upgrade) {
                sleeper.wake_up(now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
