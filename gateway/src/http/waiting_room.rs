//! Between accepting a connection and beginning to serve it.
//!
//! All clients of a gateway may come at once, when a network or another gateway is back. Begun at once, ten thousand of them are
//! ten thousand tasks that are ready to run, and whatever is delivered to those who are connected already queues behind them at
//! each step of its way. So newcomers are accepted at once, for those that the system has no room for are silent for a second or
//! more before they try again, and then wait here until it is their turn: so many in each turn that a turn stays short.

use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::yield_now;
use tokio::time::Instant;

/// Connections that may wait, each a file descriptor and some hundred bytes. Beyond, the rest waits in the system's own queue.
const ROOM: usize = 16 * 1024;

/// How long a turn should take: from beginning some connections until everything that was ready then has run. A publication takes
/// about five of them on its way through a gateway.
const TURN: Duration = Duration::from_millis(1);

/// Connections begun in one turn at most.
const MOST: usize = 64;

/// However long turns take, one connection is begun for each such time: 5000 a second, which is about what half of two cores
/// can take in. Without it, the fan-out of a busy gateway would lock newcomers out.
const EACH: Duration = Duration::from_micros(200);

/// The door to the waiting room.
#[derive(Debug)]
pub(super) struct Door<T> {
    sender: Sender<T>,
    full: Counter,
}

/// Those who wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Waiting<T>(Receiver<T>);

/// A waiting room.
pub(super) fn waiting_room<T>() -> (Door<T>, Waiting<T>) {
    describe_counter!(
        "campanile_http_waiting_room_full_total",
        "Times that accepting connections paused because too many waited to be served"
    );
    let (sender, receiver) = mpsc::channel(ROOM);
    let full = counter!("campanile_http_waiting_room_full_total");
    (Door { sender, full }, Waiting(receiver))
}

impl<T> Door<T> {
    /// Lets a connection wait. While there is no room, this waits.
    pub(super) async fn enter(&self, connection: T) {
        if let Err(TrySendError::Full(connection)) = self.sender.try_send(connection) {
            self.full.increment(1);
            // Fails when nobody is served any more.
            let _ = self.sender.send(connection).await;
        }
    }
}

impl<T> Waiting<T> {
    /// Calls `begin` for one after another, until the door is gone and nobody waits.
    pub(super) async fn serve(mut self, begin: impl Fn(T)) {
        let mut pace = Pace::default();
        let mut called = Vec::new();
        while self.0.recv_many(&mut called, pace.batch()).await > 0 {
            called.drain(..).for_each(&begin);
            let began = Instant::now();
            yield_now().await;
            pace.turn_took(began.elapsed());
        }
    }
}

/// How many connections are begun in a turn: one more after each that was short, half as many after one that was long.
#[derive(Debug)]
struct Pace {
    wanted: usize,
    /// However long turns take.
    least: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            wanted: MOST,
            least: 1,
        }
    }
}

impl Pace {
    fn batch(&self) -> usize {
        self.wanted.max(self.least)
    }

    fn turn_took(&mut self, time: Duration) {
        let earned = time.as_micros() / EACH.as_micros();
        self.least = usize::try_from(earned).map_or(ROOM, |earned| earned.clamp(1, ROOM));
        self.wanted = if time > TURN {
            (self.wanted / 2).max(1)
        } else {
            (self.wanted + 1).min(MOST)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_turns_take_in_more_and_long_ones_fewer() {
        let mut pace = Pace::default();
        assert_eq!(pace.batch(), MOST);
        pace.turn_took(TURN * 2);
        assert_eq!(pace.batch(), MOST / 2);
        for _ in 0..10 {
            pace.turn_took(TURN * 2);
        }
        assert_eq!(pace.batch(), 10, "what a turn of that length has earned");
        pace.turn_took(TURN / 2);
        assert_eq!(pace.batch(), 2);
        for _ in 0..MOST {
            pace.turn_took(TURN / 2);
        }
        assert_eq!(pace.batch(), MOST);
    }

    #[test]
    fn however_slow_turns_are_newcomers_get_in() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.turn_took(Duration::from_millis(100));
        }
        assert_eq!(pace.batch(), 500);
        pace.turn_took(Duration::from_secs(3600));
        assert_eq!(pace.batch(), ROOM);
    }

    #[tokio::test]
    async fn everybody_is_served_in_turn() {
        let (door, waiting) = waiting_room();
        let (served, mut seen) = mpsc::channel(1000);
        let serving = tokio::spawn(waiting.serve(move |number: usize| served.try_send(number).unwrap()));
        for number in 0..1000 {
            door.enter(number).await;
        }
        drop(door);
        serving.await.unwrap();
        for number in 0..1000 {
            assert_eq!(seen.recv().await, Some(number));
        }
        assert_eq!(seen.recv().await, None);
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_at_the_door() {
        let (door, waiting) = waiting_room();
        for number in 0..ROOM {
            door.enter(number).await;
        }
        let last = tokio::spawn(async move { door.enter(ROOM).await });
        yield_now().await;
        assert!(!last.is_finished());
        waiting.serve(|_| ()).await;
        last.await.unwrap();
    }
}
