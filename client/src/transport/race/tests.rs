//! Races between ways that take as long as they are told to, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile_common::Codec;
use tokio::time::sleep;

use super::*;
use crate::Closed;
use crate::transport::{Incoming, TransportKind, until};

/// A way that takes so long and then opens, or does not.
#[derive(Clone)]
struct Way {
    name: &'static str,
    takes: Duration,
    opens: bool,
    /// Attempts that were begun, and those that are under way or in use.
    begun: Arc<AtomicUsize>,
    alive: Arc<AtomicUsize>,
}

impl Way {
    fn new(name: &'static str, milliseconds: u64, opens: bool) -> Self {
        Self {
            name,
            takes: Duration::from_millis(milliseconds),
            opens,
            begun: Arc::default(),
            alive: Arc::default(),
        }
    }

    async fn open(self) -> Result<Box<dyn Transport>, OpenError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let open = Open::new(&self);
        sleep(self.takes).await;
        if self.opens {
            Ok(Box::new(open))
        } else {
            Err(OpenError::Refused(403))
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }
}

impl Dial for Way {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        Box::pin(until(context.deadline, self.clone().open()))
    }
}

/// Counts itself.
struct Open {
    name: &'static str,
    alive: Arc<AtomicUsize>,
}

impl Open {
    fn new(way: &Way) -> Self {
        way.alive.fetch_add(1, Ordering::Relaxed);
        Self {
            name: way.name,
            alive: way.alive.clone(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transport for Open {
    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Incoming, Closed>> {
        Poll::Pending
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, _: Bytes) -> Result<(), Closed> {
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: u32, _: &str) -> Poll<()> {
        Poll::Ready(())
    }

    fn codec(&self) -> Codec {
        Codec::Json
    }

    fn kind(&self) -> TransportKind {
        TransportKind::Other(self.name)
    }
}

/// A race, and which way won it after how many milliseconds.
async fn run(race: &Race) -> (Result<&'static str, OpenError>, u128) {
    let begin = Instant::now();
    let context = DialContext::new(Codec::Json, begin + Duration::from_secs(5));
    let winner = race.dial(context).await;
    (
        winner.map(|open| open.kind().label()),
        begin.elapsed().as_millis(),
    )
}

#[tokio::test(start_paused = true)]
async fn quic_wins_where_it_works() {
    let (quic, websocket) = (Way::new("quic", 200, true), Way::new("websocket", 10, true));
    let race = Race::new([quic.clone(), websocket.clone()]);
    let (winner, after) = run(&race).await;
    assert_eq!((winner.unwrap(), after), ("quic", 200));
    assert_eq!(websocket.begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn blocked_udp_costs_a_head_start_once() {
    let (quic, websocket) = (Way::new("quic", 60_000, true), Way::new("websocket", 150, true));
    let race = Race::new([quic.clone(), websocket.clone()]);
    let (winner, after) = run(&race).await;
    assert_eq!((winner.unwrap(), after), ("websocket", 450));
    assert_eq!(quic.alive(), 0, "the loser is given up");

    let (winner, after) = run(&race).await;
    assert_eq!((winner.unwrap(), after), ("websocket", 150));
    assert_eq!(quic.begun(), 1, "what worked is tried first");
}

#[tokio::test(start_paused = true)]
async fn quic_gets_another_chance() {
    let (quic, websocket) = (Way::new("quic", 200, true), Way::new("websocket", 10, true));
    let race = Race::new([quic.clone(), websocket.clone()]);
    race.remember(|memory| memory.worked(1, Instant::now()));
    assert_eq!(run(&race).await.0.unwrap(), "websocket");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(run(&race).await.0.unwrap(), "quic");
    assert_eq!(run(&race).await.0.unwrap(), "quic");
    assert_eq!(websocket.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_waited_for() {
    let race = Race::new([Way::new("quic", 5, false), Way::new("websocket", 10, true)]);
    let (winner, after) = run(&race).await;
    assert_eq!((winner.unwrap(), after), ("websocket", 15));
}

#[tokio::test(start_paused = true)]
async fn what_worked_and_no_longer_does_leaves_the_way_to_the_others() {
    let (quic, websocket) = (Way::new("quic", 20, true), Way::new("websocket", 60_000, true));
    let race = Race::new([quic, websocket]);
    race.remember(|memory| memory.worked(1, Instant::now()));
    let (winner, after) = run(&race).await;
    assert_eq!((winner.unwrap(), after), ("quic", 320));
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_said_with_every_reason() {
    let race = Race::new([Way::new("quic", 60_000, true), Way::new("websocket", 10, false)]);
    let (outcome, after) = run(&race).await;
    let error = outcome.unwrap_err();
    assert_eq!(after, 5000, "the deadline");
    let OpenError::Every(errors) = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(
        errors[..],
        [OpenError::Refused(403), OpenError::Timeout]
    ));
}

#[tokio::test(start_paused = true)]
async fn a_race_that_is_given_up_leaves_nothing_behind() {
    let (quic, websocket) = (
        Way::new("quic", 60_000, true),
        Way::new("websocket", 60_000, true),
    );
    let race = Race::new([quic.clone(), websocket.clone()]);
    let given_up = tokio::time::timeout(Duration::from_secs(1), run(&race)).await;
    assert!(given_up.is_err());
    assert_eq!((quic.begun(), websocket.begun()), (1, 1));
    assert_eq!((quic.alive(), websocket.alive()), (0, 0));
}
