use bytes::Bytes;
use campanile_common::message::Publication;

use super::*;

const NEWS: Route = Route::Client(SubscriptionId(1));

fn push(offset: u64) -> Push {
    let publication = Publication {
        offset,
        ..Default::default()
    };
    Push::publication("", publication)
}

fn large() -> Push {
    let publication = Publication {
        data: Bytes::from(vec![0; 100_000]),
        ..Default::default()
    };
    Push::publication("", publication)
}

#[test]
fn what_comes_before_its_answer_is_kept_in_order() {
    let mut lanes = Lanes::default();
    lanes.expect();
    lanes.expect();
    assert_eq!(lanes.push(7, push(1)), Fate::Nothing);
    assert_eq!(lanes.push(8, push(1)), Fate::Nothing);
    assert_eq!(lanes.push(7, push(2)), Fate::Nothing);
    assert_eq!(lanes.answered(7, Some(NEWS)), [push(1), push(2)]);
    assert_eq!(lanes.push(7, push(3)), Fate::Deliver(NEWS, push(3)));
    assert_eq!(lanes.route(7), Some(&NEWS));
    assert_eq!(lanes.answered(8, Some(NEWS)), [push(1)]);
}

#[test]
fn what_comes_after_the_end_is_dropped() {
    let mut lanes = Lanes::default();
    lanes.expect();
    lanes.answered(1, Some(NEWS));
    lanes.end(1);
    assert_eq!(lanes.push(1, push(1)), Fate::Nothing);
    assert_eq!(lanes.route(1), None);
    // Also while another answer is under way, for which it would be kept.
    lanes.expect();
    assert_eq!(lanes.push(1, push(2)), Fate::Nothing);
    assert_eq!(lanes.answered(1, Some(NEWS)), [], "nothing was kept");
}

#[test]
fn an_end_among_answers_that_come_out_of_order_is_known() {
    let mut lanes = Lanes::default();
    lanes.expect();
    lanes.expect();
    lanes.answered(2, Some(NEWS));
    lanes.end(2);
    assert_eq!(lanes.push(2, push(1)), Fate::Nothing);
    assert_eq!(lanes.push(1, push(1)), Fate::Nothing);
    assert_eq!(
        lanes.answered(1, Some(NEWS)),
        [push(1)],
        "a lower number, answered later"
    );
}

#[test]
fn an_answer_that_nobody_wants_any_more_ends_its_number() {
    let mut lanes = Lanes::default();
    lanes.expect();
    assert_eq!(lanes.push(1, push(1)), Fate::Nothing);
    assert_eq!(lanes.answered(1, None), []);
    assert_eq!(lanes.push(1, push(2)), Fate::Nothing);
    assert!(lanes.early.is_empty() && lanes.early_bytes == 0);
}

#[test]
fn nothing_is_kept_while_no_answer_is_under_way() {
    let mut lanes = Lanes::default();
    assert_eq!(lanes.push(5, push(1)), Fate::Nothing);
    lanes.expect();
    assert_eq!(lanes.push(6, push(1)), Fate::Nothing);
    lanes.answered(0, None);
    assert!(
        lanes.early.is_empty() && lanes.early_bytes == 0,
        "the answer was another"
    );
    assert!(lanes.over.is_empty());
}

#[test]
fn what_is_kept_has_a_limit() {
    let mut lanes = Lanes::default();
    lanes.expect();
    let kept = (0..1000)
        .take_while(|_| lanes.push(1, large()) == Fate::Nothing)
        .count();
    assert_eq!(kept, Lanes::EARLY_LIMIT / 100_256);
    assert_eq!(lanes.push(2, large()), Fate::Overflow);
}
