//! Lines without a router: what is handed over when, in which order.

use std::time::Duration;

use campanile_common::{ChannelName, Epoch, Offset, Timestamp};
use parking_lot::Mutex;

use super::*;
use crate::publication::Publication;

fn request(data: &str) -> PublishRequest {
    let publication = Publication {
        offset: Offset::ZERO,
        data: data.to_owned().into(),
        info: None,
        tags: BTreeMap::default(),
        time: Timestamp::ZERO,
    };
    PublishRequest {
        channel: ChannelName::from_trusted("c"),
        publication,
        stream: None,
        idempotency: None,
        version: None,
        new_epoch: Epoch::default(),
    }
}

fn partition() -> Partition {
    Partition::of("c")
}

/// A shard that writes down what it is handed and never answers.
#[derive(Default)]
struct Shard(Mutex<Vec<String>>);

impl Shard {
    fn submit(&self, request: &PublishRequest) -> ShardFuture<PublishOutcome> {
        self.0
            .lock()
            .push(String::from_utf8_lossy(&request.publication.data).into_owned());
        Box::pin(std::future::pending())
    }

    fn got(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

fn lines() -> Lines {
    Lines::new(&RouterConfig {
        publish_wait: Duration::from_secs(1),
        ..RouterConfig::default()
    })
}

fn enter(lines: &Lines, shard: &Shard, data: &str) -> (Number, Option<oneshot::Receiver<Turn>>) {
    enter_for(lines, shard, Destination(1), data)
}

fn enter_for(
    lines: &Lines,
    shard: &Shard,
    destination: Destination,
    data: &str,
) -> (Number, Option<oneshot::Receiver<Turn>>) {
    let submit = |request| shard.submit(&request);
    let entered = lines
        .enter(partition(), &request(data), destination, submit)
        .unwrap();
    match entered.place {
        Place::Submitted(_) => (entered.number, None),
        Place::Waiting(turn) => (entered.number, Some(turn)),
    }
}

fn turn_away(lines: &Lines, number: Number, data: &str) -> oneshot::Receiver<Turn> {
    lines.wait(partition(), number, request(data)).unwrap().0
}

#[test]
fn those_turned_away_go_first_in_call_order_whichever_answer_came_first() {
    let (lines, shard) = (lines(), Shard::default());
    let numbers = ["a", "b", "c"].map(|data| enter(&lines, &shard, data).0);
    assert_eq!(shard.got(), ["a", "b", "c"]);
    let _c = turn_away(&lines, numbers[2], "c");
    let (_, behind) = enter(&lines, &shard, "d");
    let _d = behind.expect("the line is blocked");
    // The answers to the earlier ones may still turn them away too.
    let probe = || lines.probe(partition(), |request| shard.submit(&request));
    assert_eq!(probe(), Probe::NotYet);
    let _a = turn_away(&lines, numbers[0], "a");
    assert_eq!(probe(), Probe::NotYet);
    let _b = turn_away(&lines, numbers[1], "b");
    assert_eq!(probe(), Probe::Sent);
    assert_eq!(shard.got(), ["a"]);
    assert_eq!(lines.verdict(partition()), None);
    lines.leave(partition(), numbers[0], Verdict::Served);
    assert_eq!(lines.verdict(partition()), Some(Verdict::Served));
    lines.open(partition(), Destination(1), |request| shard.submit(&request));
    assert_eq!(shard.got(), ["b", "c", "d"]);
    assert!(enter(&lines, &shard, "e").1.is_none(), "the line is open");
}

#[test]
fn a_line_that_everybody_left_is_open_again_and_costs_no_bytes() {
    let (lines, shard) = (lines(), Shard::default());
    let (number, _) = enter(&lines, &shard, "a");
    let waiting = turn_away(&lines, number, "a");
    assert!(lines.waiting_bytes.load(Ordering::Relaxed) > 0);
    drop(waiting);
    lines.leave(partition(), number, Verdict::Abandoned);
    assert_eq!(lines.waiting_bytes.load(Ordering::Relaxed), 0);
    assert_eq!(
        lines.probe(partition(), |request| shard.submit(&request)),
        Probe::Open
    );
    assert!(enter(&lines, &shard, "b").1.is_none());
}

#[test]
fn a_publisher_that_went_away_is_not_published_for() {
    let (lines, shard) = (lines(), Shard::default());
    let (number, _) = enter(&lines, &shard, "a");
    shard.got();
    drop(turn_away(&lines, number, "a"));
    assert_eq!(
        lines.probe(partition(), |request| shard.submit(&request)),
        Probe::Sent
    );
    assert_eq!(lines.verdict(partition()), Some(Verdict::Abandoned));
    assert!(shard.got().is_empty());
}

#[test]
fn whoever_was_turned_away_before_a_later_one_was_served_is_told_so_instead_of_published_behind_it() {
    let (lines, shard) = (lines(), Shard::default());
    let numbers = ["a", "b", "c", "d"].map(|data| enter(&lines, &shard, data).0);
    shard.got();
    let mut a = turn_away(&lines, numbers[0], "a");
    let probe = || lines.probe(partition(), |request| shard.submit(&request));
    assert_eq!(probe(), Probe::NotYet, "a later one may have been served");
    lines.leave(partition(), numbers[2], Verdict::Served);
    let b = lines.wait(partition(), numbers[1], request("b"));
    assert!(matches!(b, Err(NoPlace::Overtaken)));
    lines.leave(partition(), numbers[1], Verdict::TurnedAway);
    let _d = turn_away(&lines, numbers[3], "d");
    assert_eq!(probe(), Probe::Sent);
    assert_eq!(shard.got(), ["d"]);
    assert_eq!(a.try_recv().err(), Some(oneshot::error::TryRecvError::Closed));
}

#[test]
fn what_another_shard_has_not_answered_is_waited_for() {
    let (lines, old, new) = (lines(), Shard::default(), Shard::default());
    let submit = |request| new.submit(&request);
    let (first, _) = enter_for(&lines, &old, Destination(1), "a");
    let entered = lines
        .enter(partition(), &request("b"), Destination(2), submit)
        .unwrap();
    assert!(entered.closed.is_some(), "somebody has to probe");
    assert!(matches!(entered.place, Place::Waiting(_)));
    let _c = enter_for(&lines, &new, Destination(2), "c")
        .1
        .expect("it is behind b");
    let probe = || lines.probe(partition(), |request| new.submit(&request));
    assert_eq!(probe(), Probe::NotYet);
    // The former shard turns it away after all: it goes first at the new one.
    let _a = turn_away(&lines, first, "a");
    assert_eq!(probe(), Probe::Sent);
    lines.leave(partition(), first, Verdict::Served);
    lines.open(partition(), Destination(2), |request| new.submit(&request));
    let _d = enter_for(&lines, &new, Destination(2), "d");
    assert_eq!(new.got(), ["a", "b", "c", "d"]);
}
