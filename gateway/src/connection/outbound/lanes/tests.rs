use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Buf, Bytes};
use campanile_common::DisconnectCode;
use proptest::prelude::*;

use super::super::{Kind, LaneId, Liveness, Next, Outbound, Route, Sent, Tag, Turn};
use super::PLACE;
use crate::connection::counters::LaneCounters;
use crate::transport::Takes;

const STREAMS: Takes = Takes {
    lanes: true,
    datagrams: false,
};

fn outbound(budget: usize) -> Outbound {
    let outbound = Outbound::taking(STREAMS, budget, &Arc::new(LaneCounters::register()));
    outbound.push("connected".into());
    assert_eq!(
        control(&outbound),
        (Poll::Ready(Next::Send), vec!["connected".into()])
    );
    outbound
}

fn control(outbound: &Outbound) -> (Poll<Next>, Vec<Bytes>) {
    let mut batch = Vec::new();
    let next = outbound.poll_next(&mut Context::from_waker(Waker::noop()), &mut batch);
    (next, batch)
}

fn turn(outbound: &Outbound) -> Option<(Turn, Vec<Bytes>)> {
    let mut batch = Vec::new();
    match outbound.poll_lane(&mut Context::from_waker(Waker::noop()), &mut batch) {
        Poll::Ready(turn) => Some((turn, batch)),
        Poll::Pending => None,
    }
}

/// Sends everything of the lane whose turn it is; what that was, and whether it was the last.
fn send(outbound: &Outbound) -> Option<(u32, Vec<Bytes>, bool)> {
    let (turn, batch) = turn(outbound)?;
    outbound.lane_sent(turn, &mut Vec::new(), Sent::Some);
    Some((turn.lane.get(), batch, turn.last))
}

fn subscription(outbound: &Outbound) -> Liveness {
    Liveness::new(outbound.new_route(false), Tag::default())
}

fn push(outbound: &Outbound, subscription: &Liveness, piece: impl Into<Bytes>) {
    outbound.push_live(subscription, Kind::Publication, piece.into());
}

#[test]
fn each_subscription_has_a_lane_and_lanes_take_turns() {
    let outbound = outbound(10_000);
    let (a, b) = (subscription(&outbound), subscription(&outbound));
    let large = Bytes::from(vec![0; 3000]);
    for piece in ["a1", "a2"] {
        push(&outbound, &a, piece);
    }
    push(&outbound, &b, large.clone());
    outbound.push("reply".into());
    assert_eq!(control(&outbound).1, ["reply"]);
    assert_eq!(send(&outbound), Some((1, vec!["a1".into(), "a2".into()], false)));
    push(&outbound, &a, "a3");
    assert_eq!(send(&outbound), Some((2, vec![large], false)));
    assert_eq!(send(&outbound), Some((1, vec!["a3".into()], false)));
    assert_eq!(send(&outbound), None);
    assert_eq!(outbound.queue.lock().apart.as_ref().unwrap().cost(), 0);
}

#[test]
fn a_blocked_lane_holds_up_no_other_and_goes_on_where_it_was() {
    let outbound = outbound(10_000);
    let (a, b) = (subscription(&outbound), subscription(&outbound));
    push(&outbound, &a, "abc");
    push(&outbound, &a, "def");
    let (blocked, mut batch) = turn(&outbound).unwrap();
    batch[0].advance(2);
    outbound.lane_sent(blocked, &mut batch, Sent::Blocked);
    push(&outbound, &a, "ghi");
    push(&outbound, &b, "b");
    assert_eq!(send(&outbound), Some((2, vec!["b".into()], false)));
    assert_eq!(send(&outbound), None, "a blocked lane has no turn");
    outbound.lane_unblocked(blocked.lane);
    outbound.lane_unblocked(blocked.lane);
    assert_eq!(
        send(&outbound),
        Some((1, vec!["c".into(), "def".into(), "ghi".into()], false))
    );
    assert_eq!(send(&outbound), None);
}

#[test]
fn nothing_is_sent_on_lanes_before_the_first_reply() {
    let outbound = Outbound::taking(STREAMS, 1000, &Arc::new(LaneCounters::register()));
    let a = subscription(&outbound);
    push(&outbound, &a, "early");
    assert_eq!(turn(&outbound), None);
    outbound.push("connected".into());
    assert_eq!(send(&outbound), Some((1, vec!["early".into()], false)));
}

#[test]
fn the_end_of_a_subscription_is_the_end_of_its_lane() {
    let outbound = outbound(10_000);
    let (a, b) = (subscription(&outbound), subscription(&outbound));
    push(&outbound, &a, "last words");
    assert!(outbound.end(&a));
    push(&outbound, &a, "stray");
    assert_eq!(send(&outbound), Some((1, vec!["last words".into()], true)));
    // Nothing waits, but there may be a stream.
    assert!(outbound.end(&b));
    assert!(!outbound.end(&b));
    assert_eq!(send(&outbound), Some((2, vec![], true)));
    assert_eq!(send(&outbound), None);
}

#[test]
fn an_end_while_a_batch_is_on_its_way_is_not_lost() {
    let outbound = outbound(10_000);
    let a = subscription(&outbound);
    push(&outbound, &a, "a");
    let (taken, _) = turn(&outbound).unwrap();
    assert!(outbound.end(&a));
    assert!(!taken.last);
    outbound.lane_sent(taken, &mut Vec::new(), Sent::Some);
    assert_eq!(send(&outbound), Some((1, vec![], true)));
}

#[test]
fn without_a_stream_a_lane_goes_behind_the_replies_in_its_order() {
    let outbound = outbound(10_000);
    let a = subscription(&outbound);
    push(&outbound, &a, "1");
    let (taken, mut batch) = turn(&outbound).unwrap();
    push(&outbound, &a, "2");
    outbound.push("reply".into());
    outbound.lane_refused(taken, &mut batch);
    push(&outbound, &a, "3");
    assert_eq!(turn(&outbound), None);
    assert_eq!(control(&outbound).1, ["reply", "1", "2", "3"]);
    assert!(outbound.end(&a));
    assert_eq!(turn(&outbound), None, "there is no stream to end");
    assert_eq!(outbound.queue.lock().cost, 0);
}

#[test]
fn what_an_ended_subscription_left_does_not_go_behind_its_end() {
    let outbound = outbound(10_000);
    let a = subscription(&outbound);
    push(&outbound, &a, "1");
    let (taken, mut batch) = turn(&outbound).unwrap();
    outbound.end(&a);
    outbound.push("unsubscribed".into());
    outbound.lane_refused(taken, &mut batch);
    assert_eq!(control(&outbound).1, ["unsubscribed"]);
    assert_eq!(turn(&outbound), None);
}

#[test]
fn the_budget_is_one_and_beyond_it_everything_is_dropped() {
    let outbound = outbound(1500);
    let (a, b) = (subscription(&outbound), subscription(&outbound));
    push(&outbound, &a, vec![0; 300]);
    let (taken, mut batch) = turn(&outbound).unwrap();
    push(&outbound, &b, vec![0; 100]);
    outbound.push(Bytes::from(vec![0; 100]));
    assert_eq!(control(&outbound).0, Poll::Ready(Next::Send));
    push(&outbound, &b, vec![0; 600]);
    let slow = || Poll::Ready(Next::Close(DisconnectCode::Slow.into()));
    assert_eq!(control(&outbound).0, slow());
    outbound.lane_sent(taken, &mut batch, Sent::Blocked);
    outbound.lane_unblocked(taken.lane);
    push(&outbound, &a, "more");
    outbound.end(&a);
    assert_eq!(turn(&outbound), None);
    assert_eq!(control(&outbound).0, slow());
    let queue = outbound.queue.lock();
    assert_eq!(queue.apart.as_ref().unwrap().cost() + queue.cost, 0);
}

#[test]
fn the_transport_is_woken_for_what_it_can_do() {
    let outbound = outbound(2000);
    let a = subscription(&outbound);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut batch = Vec::new();
    let mut poll = || {
        let turn = outbound.poll_lane(&mut Context::from_waker(&waker), &mut batch);
        (turn, std::mem::take(&mut batch))
    };
    assert_eq!(poll().0, Poll::Pending);
    push(&outbound, &a, "a");
    assert_eq!(wakes.take(), 1);
    let (Poll::Ready(turn), mut rest) = poll() else {
        panic!("no turn");
    };
    outbound.lane_sent(turn, &mut rest, Sent::Blocked);
    assert_eq!(poll().0, Poll::Pending);
    push(&outbound, &a, vec![0; 1000]);
    assert_eq!(wakes.take(), 0, "the stream is blocked");
    push(&outbound, &a, vec![0; 1000]);
    assert_eq!(wakes.take(), 1, "the client is too slow");
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn closing_lets_go_first_what_no_stream_holds_up() {
    let outbound = outbound(10_000);
    let (a, b) = (subscription(&outbound), subscription(&outbound));
    push(&outbound, &a, "stuck");
    let (blocked, mut batch) = turn(&outbound).unwrap();
    outbound.lane_sent(blocked, &mut batch, Sent::Blocked);
    push(&outbound, &b, "last words");
    outbound.close(DisconnectCode::Shutdown.into());
    assert_eq!(control(&outbound).0, Poll::Pending);
    assert_eq!(send(&outbound), Some((2, vec!["last words".into()], false)));
    let closed = Next::Close(DisconnectCode::Shutdown.into());
    assert_eq!(control(&outbound).0, Poll::Ready(closed));
}

#[test]
fn a_client_that_takes_no_streams_has_no_lanes() {
    for takes in [
        Takes::default(),
        Takes {
            lanes: false,
            datagrams: true,
        },
    ] {
        let outbound = Outbound::taking(takes, 1000, &Arc::new(LaneCounters::register()));
        assert_eq!(outbound.new_route(false), Route::Control);
    }
}

#[test]
fn numbers_ascend_and_end() {
    let outbound = outbound(1000);
    let lane = |number| Route::Stream(LaneId::new(number).unwrap());
    assert_eq!(outbound.new_route(false), lane(1));
    assert_eq!(outbound.new_route(true), lane(2), "it takes no datagrams");
    outbound.queue.lock().apart.as_mut().unwrap().last = LaneId::MAX - 1;
    assert_eq!(outbound.new_route(false), lane(LaneId::MAX));
    assert_eq!(outbound.new_route(false), Route::Control);
}

/// Something that happens to a queue whose client has four subscriptions.
#[derive(Clone, Debug)]
enum Step {
    Push {
        subscription: usize,
        length: usize,
    },
    End {
        subscription: usize,
    },
    Control,
    /// A turn; of the batch, so many bytes are taken, and then perhaps nothing for a while.
    Turn {
        bytes: usize,
        blocks: bool,
        refused: bool,
    },
    Unblock {
        lane: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4usize, 1..60usize).prop_map(|(subscription, length)| Step::Push { subscription, length }),
        1 => (0..4usize).prop_map(|subscription| Step::End { subscription }),
        2 => Just(Step::Control),
        5 => (0..150usize, any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(bytes, blocks, refused)| Step::Turn { bytes, blocks, refused }),
        2 => (1..8u32).prop_map(|lane| Step::Unblock { lane }),
    ]
}

/// A transport and a client that note what they get.
struct World {
    outbound: Outbound,
    live: Vec<Subscribed>,
    over: Vec<Subscribed>,
    streams: BTreeMap<u32, Stream>,
    /// Pieces that came behind the replies, by lane.
    behind: BTreeMap<u32, Vec<u8>>,
    counter: u32,
}

struct Subscribed {
    liveness: Liveness,
    lane: u32,
    pushed: Vec<u8>,
}

#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    finished: bool,
}

const BUDGET: usize = 2000;

impl World {
    fn new() -> Self {
        let mut world = Self {
            outbound: outbound(BUDGET),
            live: Vec::new(),
            over: Vec::new(),
            streams: BTreeMap::new(),
            behind: BTreeMap::new(),
            counter: 0,
        };
        world.live = (0..4).map(|_| world.subscribe()).collect();
        world
    }

    fn subscribe(&self) -> Subscribed {
        let route = self.outbound.new_route(false);
        Subscribed {
            liveness: Liveness::new(route, Tag::default()),
            lane: route.lane().unwrap().get(),
            pushed: Vec::new(),
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Push { subscription, length } => self.push(subscription, length),
            Step::End { subscription } => {
                let next = self.subscribe();
                let ended = std::mem::replace(&mut self.live[subscription], next);
                assert!(self.outbound.end(&ended.liveness));
                push(&self.outbound, &ended.liveness, "never");
                self.over.push(ended);
            }
            Step::Control => self.control(),
            Step::Turn {
                bytes,
                blocks,
                refused,
            } => {
                self.turn(bytes, blocks, refused);
            }
            Step::Unblock { lane } => self.outbound.lane_unblocked(LaneId::new(lane).unwrap()),
        }
    }

    /// A piece begins with its lane's number.
    fn push(&mut self, subscription: usize, length: usize) {
        let subscribed = &mut self.live[subscription];
        let mut piece = vec![u8::try_from(subscribed.lane).unwrap()];
        piece.extend(self.counter.to_le_bytes());
        piece.resize(5 + length, 0);
        self.counter += 1;
        subscribed.pushed.extend(&piece);
        push(&self.outbound, &subscribed.liveness, piece);
    }

    fn control(&mut self) {
        for piece in control(&self.outbound).1 {
            self.behind.entry(u32::from(piece[0])).or_default().extend(piece);
        }
    }

    fn turn(&mut self, mut bytes: usize, blocks: bool, refused: bool) -> bool {
        let Some((turn, mut batch)) = turn(&self.outbound) else {
            return false;
        };
        let lane = turn.lane.get();
        let opened = self.streams.contains_key(&lane);
        if !opened && !batch.is_empty() && refused {
            self.outbound.lane_refused(turn, &mut batch);
            return true;
        }
        let stream = self.streams.entry(lane).or_default();
        for piece in &mut batch {
            let part = piece.split_to(bytes.min(piece.len()));
            bytes -= part.len();
            stream.bytes.extend(part);
        }
        let all = batch.iter().all(Bytes::is_empty);
        assert!(!stream.finished, "nothing comes behind the end");
        stream.finished = turn.last && all;
        let sent = if blocks { Sent::Blocked } else { Sent::Some };
        self.outbound.lane_sent(turn, &mut batch, sent);
        true
    }

    /// The cost is what waits, and within the budget.
    fn check_cost(&self) {
        let queue = self.outbound.queue.lock();
        let lanes = &queue.apart.as_ref().unwrap().lanes;
        let waiting: u32 = lanes
            .waiting
            .values()
            .map(|lane| PLACE + lane.pieces.iter().map(super::cost).sum::<u32>())
            .sum();
        let replies: u32 = queue.pieces.iter().map(super::cost).sum();
        assert_eq!((lanes.cost, queue.cost), (waiting, replies));
        // The ends of subscriptions have a place each, whatever the budget.
        let ends = u32::try_from(self.over.len()).unwrap() * PLACE;
        assert!(waiting + queue.cost <= u32::try_from(BUDGET).unwrap() + ends);
    }

    fn drain(&mut self) {
        for lane in 1..=u32::try_from(4 + self.over.len()).unwrap() {
            self.outbound.lane_unblocked(LaneId::new(lane).unwrap());
        }
        while self.turn(usize::MAX, false, false) {}
    }

    fn received(&self, subscribed: &Subscribed) -> Vec<u8> {
        let stream = self.streams.get(&subscribed.lane).map(|stream| &stream.bytes);
        let behind = self.behind.get(&subscribed.lane);
        let mut all = stream.cloned().unwrap_or_default();
        assert!(all.is_empty() || behind.is_none(), "a lane stays where it is");
        all.extend(behind.into_iter().flatten());
        all
    }
}

proptest! {
    #[test]
    fn whatever_happens_order_and_budget_are_kept(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            world.check_cost();
        }
        let slow = world.outbound.queue.lock().end.is_some();
        world.control();
        if !slow {
            world.drain();
            world.check_cost();
            prop_assert!(world.outbound.queue.lock().apart.as_ref().unwrap().lanes.waiting.is_empty());
        }
        for subscribed in &world.live {
            let received = world.received(subscribed);
            prop_assert!(subscribed.pushed.starts_with(&received));
            prop_assert!(slow || received == subscribed.pushed, "all of it came");
        }
        for subscribed in &world.over {
            let received = world.received(subscribed);
            prop_assert!(subscribed.pushed.starts_with(&received));
            let finished = world.streams.get(&subscribed.lane).is_some_and(|stream| stream.finished);
            prop_assert!(!finished || received == subscribed.pushed, "the end comes behind all of it");
        }
    }
}
