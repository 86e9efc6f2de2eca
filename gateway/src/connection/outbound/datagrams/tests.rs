use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::super::{Kind, Liveness, Next, Outbound, Route, Tag};
use super::{Datagram, MAX_WAITING};
use crate::connection::counters::LaneCounters;
use crate::transport::Takes;

struct World {
    outbound: Outbound,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
}

fn world(lanes: bool) -> World {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counters = metrics::with_local_recorder(&recorder, LaneCounters::register);
    let takes = Takes {
        lanes,
        datagrams: true,
    };
    let outbound = Outbound::taking(takes, 10_000, &Arc::new(counters));
    outbound.push("connected".into());
    let world = World {
        outbound,
        metrics: recorder.handle(),
    };
    assert_eq!(world.control(), ["connected"]);
    world
}

impl World {
    fn subscription(&self) -> Liveness {
        let route = self.outbound.new_route(true);
        assert!(matches!(route, Route::Datagrams(_)));
        Liveness::new(route, Tag::default())
    }

    fn publish(&self, subscription: &Liveness, piece: impl Into<Bytes>) {
        self.outbound
            .push_live(subscription, Kind::Publication, piece.into());
    }

    fn control(&self) -> Vec<Bytes> {
        let mut batch = Vec::new();
        let next = self
            .outbound
            .poll_next(&mut Context::from_waker(Waker::noop()), &mut batch);
        assert!(matches!(next, Poll::Pending | Poll::Ready(Next::Send)));
        batch
    }

    fn lane(&self) -> Vec<Bytes> {
        let mut batch = Vec::new();
        let _ = self
            .outbound
            .poll_lane(&mut Context::from_waker(Waker::noop()), &mut batch);
        batch
    }

    /// The next datagram of those that are not longer than `limit`.
    fn datagram(&self, limit: usize) -> Option<(u32, u64, Bytes)> {
        let next = self
            .outbound
            .poll_datagram(&mut Context::from_waker(Waker::noop()), |_, _, piece| {
                piece.len() <= limit
            });
        match next {
            Poll::Ready(Datagram { lane, number, piece }) => Some((lane.get(), number, piece)),
            Poll::Pending => None,
        }
    }

    fn counted(&self, outcome: &str, count: u64) -> bool {
        let line = format!("campanile_quic_datagrams_total{{outcome=\"{outcome}\"}} {count}\n");
        self.metrics.render().contains(&line)
    }
}

#[test]
fn publications_are_numbered_within_their_subscription() {
    let world = world(true);
    let (a, b) = (world.subscription(), world.subscription());
    for (subscription, piece) in [(&a, "a1"), (&a, "a2"), (&b, "b1"), (&a, "a3")] {
        world.publish(subscription, piece);
    }
    let sent: Vec<_> = std::iter::from_fn(|| world.datagram(100)).collect();
    assert_eq!(
        sent,
        [
            (1, 1, "a1".into()),
            (1, 2, "a2".into()),
            (2, 1, "b1".into()),
            (1, 3, "a3".into())
        ]
    );
}

#[test]
fn what_is_too_large_or_no_publication_goes_by_the_stream() {
    let world = world(true);
    let a = world.subscription();
    world.outbound.push_live(&a, Kind::Notice, "join".into());
    world.publish(&a, "small");
    world.publish(&a, "too large");
    world.publish(&a, "fits");
    assert_eq!(world.datagram(5), Some((1, 1, "small".into())));
    assert_eq!(world.datagram(5), Some((1, 2, "fits".into())));
    assert_eq!(world.lane(), ["join", "too large"]);
    assert!(world.counted("too_large", 1));
}

#[test]
fn without_streams_the_rest_goes_behind_the_replies() {
    let world = world(false);
    let a = world.subscription();
    world.outbound.push_live(&a, Kind::Notice, "join".into());
    world.publish(&a, "too large");
    assert_eq!(world.datagram(5), None);
    assert_eq!(world.control(), ["join", "too large"]);
}

#[test]
fn beyond_their_bound_the_oldest_are_dropped_and_nobody_is_slow() {
    let world = world(true);
    let a = world.subscription();
    let piece = |number: u8| Bytes::from(vec![number; 1000]);
    for number in 0..100 {
        world.publish(&a, piece(number));
    }
    let kept = usize::try_from(MAX_WAITING).unwrap() / (1000 + size_of::<Bytes>());
    assert!(world.counted("dropped", 100 - kept as u64));
    let oldest = 100 - u8::try_from(kept).unwrap();
    assert_eq!(world.datagram(2000), Some((1, 1, piece(oldest))));
    assert_eq!(std::iter::from_fn(|| world.datagram(2000)).count(), kept - 1);
    assert!(world.outbound.queue.lock().end.is_none());
}

#[test]
fn an_ended_subscription_sends_no_more_datagrams() {
    let world = world(true);
    let (a, b) = (world.subscription(), world.subscription());
    world.publish(&a, "a");
    world.publish(&b, "b");
    world.outbound.end(&a);
    world.publish(&a, "stray");
    assert_eq!(world.datagram(10), Some((2, 1, "b".into())));
    assert_eq!(world.datagram(10), None);
    assert!(world.counted("dropped", 1));
}

#[test]
fn nothing_is_sent_before_the_first_reply() {
    let takes = Takes {
        lanes: true,
        datagrams: true,
    };
    let outbound = Outbound::taking(takes, 1000, &Arc::new(LaneCounters::register()));
    let world = World {
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        outbound,
    };
    let a = world.subscription();
    world.publish(&a, "early");
    assert_eq!(world.datagram(10), None);
    world.outbound.push("connected".into());
    assert_eq!(world.datagram(10), Some((1, 1, "early".into())));
}

#[test]
fn the_writer_comes_again_for_what_went_behind_the_replies_before_a_datagram() {
    let world = world(false);
    let subscription = world.subscription();
    world.publish(&subscription, "far too long");
    world.publish(&subscription, "short");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let fits = |_, _, piece: &Bytes| piece.len() <= 5;
    let next = world
        .outbound
        .poll_datagram(&mut Context::from_waker(&waker), fits);
    assert!(next.is_ready());
    assert!(woken.0.load(Ordering::Relaxed));
    assert_eq!(world.control(), ["far too long"]);
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
