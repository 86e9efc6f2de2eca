//! Between accepting a client's connection and beginning to serve it.
//!
//! All clients of a gateway may come at once, when a network or another gateway is back. Begun at once, ten thousand of them are
//! ten thousand tasks that are ready to run, and whatever is delivered to those who are connected already queues behind them at
//! each step of its way. So newcomers are accepted at once, for those that the system has no room for are silent for a second or
//! more before they try again, and then wait here until it is their turn. Nobody who waits is forgotten when the gateway ends: they
//! are still served, and those who want a connection told that there is none.
//!
//! Accepting never waits for the room, because probes and callers of the API come through the same socket. Whom it cannot hold
//! is turned away.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::turnstile::Turnstile;

/// Clients that may wait, each a file descriptor and some hundred bytes. Two threads take eight seconds for so many, and
/// whoever has to wait longer is served no worse by trying again.
pub(super) const ROOM: usize = 32 * 1024;

/// The door to the waiting room.
#[derive(Debug)]
pub(super) struct Door<T> {
    sender: Sender<T>,
    turned_away: Counter,
    waiting: Gauge,
}

/// Those who wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    receiver: Receiver<T>,
    waiting: Gauge,
}

/// A waiting room for so many.
pub(super) fn waiting_room<T>(room: usize) -> (Door<T>, Waiting<T>) {
    describe_counter!(
        "campanile_http_waiting_room_full_total",
        "Clients that were closed unheard because too many waited to be served"
    );
    describe_gauge!(
        "campanile_http_waiting_connections",
        "Connections of clients that were accepted and wait to be served"
    );
    let (sender, receiver) = mpsc::channel(room);
    // One for all waiting rooms, so that it is counted up and down.
    let waiting = gauge!("campanile_http_waiting_connections");
    let door = Door {
        sender,
        turned_away: counter!("campanile_http_waiting_room_full_total"),
        waiting: waiting.clone(),
    };
    (door, Waiting { receiver, waiting })
}

impl<T> Door<T> {
    /// Lets somebody wait. For want of room its connection is closed without a word, which costs least: its client tries again
    /// after a while, as after any connection that failed.
    pub(super) fn enter(&self, newcomer: T) {
        // Before it can be counted down.
        self.waiting.increment(1);
        if self.sender.try_send(newcomer).is_err() {
            self.waiting.decrement(1);
            self.turned_away.increment(1);
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
    use super::*;

    /// The numbers of those who are served, once nobody comes any more.
    async fn served(waiting: Waiting<usize>) -> Vec<usize> {
        let (served, mut seen) = mpsc::channel(1000);
        let begin = |number: usize| served.try_send(number).unwrap();
        waiting.serve(&Turnstile::new(), begin).await;
        drop(served);
        let mut numbers = Vec::new();
        while let Some(number) = seen.recv().await {
            numbers.push(number);
        }
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_is_served_in_turn() {
        let (door, waiting) = waiting_room(1000);
        let serving = tokio::spawn(served(waiting));
        for number in 0..1000 {
            door.enter(number);
        }
        drop(door);
        assert_eq!(serving.await.unwrap(), Vec::from_iter(0..1000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_is_turned_away() {
        let (door, waiting) = waiting_room(10);
        for number in 0..20 {
            door.enter(number);
        }
        drop(door);
        assert_eq!(served(waiting).await, Vec::from_iter(0..10));
    }
}
