//! One after another, at a steady pace, where many come at once.
//!
//! Whoever begins or ends ten thousand connections at once makes ten thousand tasks that are ready to run, and whatever is
//! delivered to everybody else queues behind them at each step of its way. A [`Turnstile`] lets them through at the pace that
//! leaves room for the rest.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

/// The pace: so long from one to the next, for each thread that serves connections. Two threads begin 4,000 connections a second: with about
/// 0.1 ms of CPU time for a plain connection and as much again over TLS that is between a fifth and a half of what they have.
const EACH_PER_THREAD: Duration = Duration::from_micros(500);

/// However many wait, nobody does for longer; those who would pass together then. On two threads that is 40,000, more than may wait at
/// once where they wait: to be served, or to have the socket of a client that is gone closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many pass without waiting, when nobody has for a while.
const AT_ONCE: u32 = 16;

/// Lets one after another pass: "virtual scheduling" of the generic cell rate algorithm (ITU-T I.371, annex A).
#[derive(Debug)]
pub struct Turnstile {
    each: Duration,
    /// When the next one should come.
    next: Mutex<Instant>,
}

impl Default for Turnstile {
    fn default() -> Self {
        Self::new()
    }
}

impl Turnstile {
    /// A turnstile for the threads of the present runtime.
    #[must_use]
    pub fn new() -> Self {
        let threads = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self {
            each: EACH_PER_THREAD / u32::try_from(threads).unwrap_or(u32::MAX).max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for its turn, in the order in which the futures are first polled.
    pub async fn pass(&self) {
        let now = Instant::now();
        let turn = self.turn(now);
        if turn > now {
            // Nearly nobody waits: those who do need not make everybody's future larger.
            Box::pin(sleep_until(turn)).await;
        }
    }

    /// The turn of somebody who comes at `now`.
    fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let earned = self.each * AT_ONCE;
        // Ahead of the pace by no more than what may pass at once; behind it by no more than the patience.
        let due = (*next).clamp(now, now + PATIENCE + earned);
        *next = due + self.each;
        due.checked_sub(earned).map_or(now, |turn| turn.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turnstile() -> Turnstile {
        Turnstile {
            each: Duration::from_millis(1),
            next: Mutex::new(Instant::now()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_pass_at_once_and_the_rest_at_the_pace() {
        let turnstile = turnstile();
        let start = Instant::now();
        for _ in 0..=AT_ONCE {
            turnstile.pass().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for number in 1..10 {
            turnstile.pass().await;
            assert_eq!(start.elapsed(), Duration::from_millis(number));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_patience() {
        let turnstile = turnstile();
        let now = Instant::now();
        let last = (0..20_000).map(|_| turnstile.turn(now)).last();
        assert_eq!(last, Some(now + PATIENCE));
        tokio::time::advance(PATIENCE * 2).await;
        let now = Instant::now();
        assert_eq!(turnstile.turn(now), now, "who comes later need not wait for them");
    }
}
