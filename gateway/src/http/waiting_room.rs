//! Between accepting a connection and beginning to serve it.
//!
//! All clients of a gateway may come at once, when a network or another gateway is back. Begun at once, ten thousand of them are
//! ten thousand tasks that are ready to run, and whatever is delivered to those who are connected already queues behind them at
//! each step of its way. So newcomers are accepted at once, for those that the system has no room for are silent for a second or
//! more before they try again, and then wait here until it is their turn. Nobody who waits is forgotten when the gateway ends: they
//! are still served, and those who want a connection told that there is none.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::turnstile::Turnstile;

/// Connections that may wait, each a file descriptor and some hundred bytes. Beyond, the rest waits in the system's own queue.
const ROOM: usize = 16 * 1024;

/// The door to the waiting room.
#[derive(Debug)]
pub(super) struct Door<T> {
    sender: Sender<T>,
    full: Counter,
    waiting: Gauge,
}

/// Those who wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    receiver: Receiver<T>,
    waiting: Gauge,
}

/// A waiting room.
pub(super) fn waiting_room<T>() -> (Door<T>, Waiting<T>) {
    describe_counter!(
        "campanile_http_waiting_room_full_total",
        "Times that accepting connections paused because too many waited to be served"
    );
    describe_gauge!(
        "campanile_http_waiting_connections",
        "Connections that were accepted and wait to be served"
    );
    let (sender, receiver) = mpsc::channel(ROOM);
    let full = counter!("campanile_http_waiting_room_full_total");
    // One for all waiting rooms, so that it is counted up and down.
    let waiting = gauge!("campanile_http_waiting_connections");
    let door = Door {
        sender,
        full,
        waiting: waiting.clone(),
    };
    (door, Waiting { receiver, waiting })
}

impl<T> Door<T> {
    /// Lets a connection wait. While there is no room, this waits.
    pub(super) async fn enter(&self, connection: T) {
        self.waiting.increment(1);
        if let Err(TrySendError::Full(connection)) = self.sender.try_send(connection) {
            self.full.increment(1);
            // Fails when nobody is served any more.
            let _ = self.sender.send(connection).await;
        }
    }
}

impl<T> Waiting<T> {
    /// Calls `begin` for one after another as the turnstile lets them pass, until the door is gone and nobody waits.
    pub(super) async fn serve(mut self, turnstile: &Turnstile, begin: impl Fn(T)) {
        while let Some(next) = self.receiver.recv().await {
            turnstile.pass().await;
            self.waiting.decrement(1);
            begin(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everybody_is_served_in_turn() {
        let (door, waiting) = waiting_room();
        let (served, mut seen) = mpsc::channel(1000);
        let serving = tokio::spawn(async move {
            let begin = |number: usize| served.try_send(number).unwrap();
            waiting.serve(&Turnstile::new(), begin).await;
        });
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

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_at_the_door() {
        let (door, waiting) = waiting_room();
        for number in 0..ROOM {
            door.enter(number).await;
        }
        let last = tokio::spawn(async move { door.enter(ROOM).await });
        yield_now().await;
        assert!(!last.is_finished());
        waiting.serve(&Turnstile::new(), |_| ()).await;
        last.await.unwrap();
    }
}
