//! When what is due.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::output::{CallId, SubscriptionId};

/// What can become due. Each at one time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// The next attempt to connect.
    Reconnect,
    /// The present attempt to connect has taken too long.
    Attempt,
    /// The server has been silent for too long.
    Silence,
    /// The connection's token must be renewed.
    Refresh,
    /// The command of that number has not been answered.
    Command(u32),
    /// The application's request has waited too long.
    Call(CallId),
    /// The next attempt to subscribe.
    Resubscribe(SubscriptionId),
    /// The subscription's token must be renewed.
    SubRefresh(SubscriptionId),
}

/// The timers that run.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, Timer)>,
    at: HashMap<Timer, Instant>,
}

/// As good as never: what is further away is brought here, because the clock cannot count to any time.
const HORIZON: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Timers {
    /// Starts the timer, or sets it anew.
    pub(crate) fn set(&mut self, timer: Timer, now: Instant, wait: Duration) {
        self.cancel(timer);
        let at = now + wait.min(HORIZON);
        self.queue.insert((at, timer));
        self.at.insert(timer, at);
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    /// The time of the earliest one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests;
