use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn writer() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes::default());
    (Arc::clone(&wakes), wakes.into())
}

fn next(outbound: &Outbound, waker: &Waker) -> (Poll<Next>, Vec<Bytes>) {
    let mut batch = Vec::new();
    let next = outbound.poll_next(&mut Context::from_waker(waker), &mut batch);
    (next, batch)
}

fn slow() -> Next {
    Next::Close(DisconnectCode::Slow.into())
}

#[test]
fn what_waits_is_taken_together_and_in_order() {
    let outbound = Outbound::new(1000);
    let (wakes, waker) = writer();
    assert_eq!(next(&outbound, &waker), (Poll::Pending, vec![]));
    outbound.push("a".into());
    outbound.push("b".into());
    assert_eq!(wakes.count(), 1, "a writer that is awake is not woken");
    let (result, batch) = next(&outbound, &waker);
    assert_eq!(
        (result, batch),
        (Poll::Ready(Next::Send), vec!["a".into(), "b".into()])
    );
    assert_eq!(next(&outbound, &waker).0, Poll::Pending);
    assert!(outbound.queue.lock().pieces.is_empty());
    assert_eq!(outbound.queue.lock().cost, 0);
}

#[test]
fn replies_that_others_follow_wait_for_them_one_turn_and_no_longer() {
    let outbound = Outbound::new(1000);
    let (wakes, waker) = writer();
    assert_eq!(next(&outbound, &waker).0, Poll::Pending);
    outbound.push_one_of_many("a".into());
    assert_eq!(next(&outbound, &waker), (Poll::Pending, vec![]));
    assert_eq!(wakes.count(), 2, "once for the reply and once to come back");
    outbound.push_one_of_many("b".into());
    let together = (Poll::Ready(Next::Send), vec!["a".into(), "b".into()]);
    assert_eq!(next(&outbound, &waker), together);
    outbound.push("c".into());
    assert_eq!(next(&outbound, &waker).1, ["c"]);
}

#[test]
fn a_batch_is_limited_in_bytes_and_in_pieces() {
    let outbound = Outbound::new(1 << 20);
    let (_, waker) = writer();
    let half = Bytes::from(vec![0; MAX_BATCH_BYTES / 2]);
    for _ in 0..3 {
        outbound.push(half.clone());
    }
    outbound.push(Bytes::from(vec![0; 3 * MAX_BATCH_BYTES]));
    assert_eq!([2, 1, 1].map(|_| next(&outbound, &waker).1.len()), [2, 1, 1]);
    for _ in 0..=MAX_BATCH_PIECES {
        outbound.push("x".into());
    }
    assert_eq!(next(&outbound, &waker).1.len(), MAX_BATCH_PIECES);
    assert_eq!(next(&outbound, &waker).1.len(), 1);
}

#[test]
fn a_client_above_its_budget_is_slow_and_its_queue_is_dropped() {
    let outbound = Outbound::new(100);
    let (wakes, waker) = writer();
    assert_eq!(
        outbound.poll_overflow(&mut Context::from_waker(&waker)),
        Poll::Pending
    );
    outbound.push(Bytes::from(vec![0; 60]));
    outbound.push(Bytes::from(vec![0; 60]));
    assert_eq!(wakes.count(), 1);
    assert!(
        outbound
            .poll_overflow(&mut Context::from_waker(&waker))
            .is_ready()
    );
    assert!(outbound.queue.lock().pieces.is_empty());
    outbound.push("more".into());
    outbound.close(DisconnectCode::Shutdown.into());
    assert_eq!(next(&outbound, &waker), (Poll::Ready(slow()), vec![]));
}

#[test]
fn many_tiny_pieces_cost_their_place_in_the_queue() {
    let outbound = Outbound::new(10 * (1 + OVERHEAD));
    let (_, waker) = writer();
    for _ in 0..10 {
        outbound.push("x".into());
    }
    assert!(
        outbound
            .poll_overflow(&mut Context::from_waker(&waker))
            .is_pending()
    );
    outbound.push("x".into());
    assert!(
        outbound
            .poll_overflow(&mut Context::from_waker(&waker))
            .is_ready()
    );
}

#[test]
fn a_piece_above_the_budget_goes_out_if_it_is_alone() {
    let outbound = Outbound::new(10);
    let (_, waker) = writer();
    let large = Bytes::from(vec![0; 1000]);
    outbound.push(large.clone());
    assert_eq!(next(&outbound, &waker).1, [large]);
}

#[test]
fn closing_lets_what_waits_go_first() {
    let outbound = Outbound::new(100);
    let (_, waker) = writer();
    outbound.push("last words".into());
    outbound.close(DisconnectCode::Expired.into());
    outbound.push("too late".into());
    assert_eq!(next(&outbound, &waker).1, ["last words"]);
    let closed = Next::Close(DisconnectCode::Expired.into());
    assert_eq!(next(&outbound, &waker).0, Poll::Ready(closed));
}

#[test]
fn nothing_of_an_ended_subscription_is_queued() {
    let outbound = Outbound::new(100);
    let (_, waker) = writer();
    let (first, second) = (Liveness::default(), Liveness::default());
    outbound.push("0".into());
    outbound.push_live(&first, Kind::Publication, "1".into());
    assert!(outbound.end(&first));
    assert!(!outbound.end(&first));
    outbound.push_live(&first, Kind::Publication, "stray".into());
    outbound.push_live(&second, Kind::Publication, "2".into());
    assert_eq!(next(&outbound, &waker).1, ["0", "1", "2"]);
}

#[test]
fn what_comes_before_the_first_reply_waits_behind_it() {
    let outbound = Outbound::new(1000);
    let (wakes, waker) = writer();
    outbound.push_live(&Liveness::default(), Kind::Publication, "publication".into());
    assert_eq!(next(&outbound, &waker).0, Poll::Pending);
    outbound.push("connected".into());
    outbound.push("more".into());
    assert_eq!(wakes.count(), 1);
    assert_eq!(next(&outbound, &waker).1, ["connected", "publication", "more"]);
    assert_eq!(outbound.queue.lock().cost, 0);
}

#[test]
fn a_connection_that_never_gets_a_reply_can_be_closed() {
    let outbound = Outbound::new(1000);
    let (_, waker) = writer();
    outbound.push_live(&Liveness::default(), Kind::Publication, "publication".into());
    outbound.close(DisconnectCode::Stale.into());
    let closed = Next::Close(DisconnectCode::Stale.into());
    assert_eq!(next(&outbound, &waker).0, Poll::Ready(closed));
}

#[test]
fn what_every_connection_and_subscription_has_is_small() {
    // Connections with a queue of 88 bytes fill an allocation of 512 bytes.
    assert!(size_of::<Outbound>() <= 88, "{} bytes", size_of::<Outbound>());
    assert_eq!(size_of::<Liveness>(), 4);
}
