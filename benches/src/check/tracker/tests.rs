use super::super::track::MOST_GAPS;
use super::super::{Fate, Ledger};
use super::*;
use crate::Promise;
use crate::run::Stamp;

fn label(channel: u32, sequence: u64) -> Label {
    Label {
        worker: 1,
        channel,
        sequence,
        intended: Stamp::default(),
    }
}

/// One publisher's numbers up to `last` in channel 7, all accepted but for these.
fn ledger(last: u64, doubtful: &[u64]) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.sent(7, 1, last);
    for &sequence in doubtful {
        ledger.settled(7, 1, sequence, Fate::Unknown);
    }
    ledger
}

fn checker(start: Start, seen: impl IntoIterator<Item = u64>) -> Checker {
    let mut checker = Checker::new(7, start);
    for sequence in seen {
        checker.arrived(&label(7, sequence));
    }
    checker
}

/// What a subscriber finds that sees these numbers of five that were accepted, but for those in `doubtful`.
fn findings(start: Start, seen: &[u64], doubtful: &[u64]) -> (u64, u64, u64, u64) {
    let found = checker(start, seen.iter().copied()).finish(&ledger(5, doubtful));
    assert_eq!(
        found.example.is_some(),
        found.broken().next().is_some(),
        "{found:?}"
    );
    (found.received, found.lost, found.doubled, found.reordered)
}

#[test]
fn everything_once_in_order_is_right() {
    assert_eq!(findings(Start::Beginning, &[1, 2, 3, 4, 5], &[]), (5, 0, 0, 0));
    assert_eq!(findings(Start::FirstSeen, &[3, 4, 5], &[]), (3, 0, 0, 0));
    assert_eq!(findings(Start::FirstSeen, &[], &[]), (0, 0, 0, 0));
}

#[test]
fn what_is_missing_is_lost_wherever_it_was() {
    assert_eq!(findings(Start::Beginning, &[2, 4], &[]), (2, 3, 0, 0));
    assert_eq!(findings(Start::Beginning, &[], &[]), (0, 5, 0, 0));
    assert_eq!(findings(Start::FirstSeen, &[3, 5], &[]), (2, 1, 0, 0));
}

#[test]
fn what_was_not_accepted_may_be_missing_and_may_arrive() {
    assert_eq!(findings(Start::Beginning, &[2, 4], &[1, 3, 5]), (2, 0, 0, 0));
    assert_eq!(
        findings(Start::Beginning, &[1, 2, 3, 4, 5], &[1, 3, 5]),
        (5, 0, 0, 0)
    );
}

#[test]
fn what_comes_again_or_late_is_told_apart() {
    assert_eq!(
        findings(Start::Beginning, &[1, 2, 2, 3, 4, 5, 1], &[]),
        (5, 0, 2, 0)
    );
    assert_eq!(findings(Start::Beginning, &[1, 5, 3, 2, 4, 4], &[]), (5, 0, 1, 3));
}

#[test]
fn what_is_of_another_channel_is_found_though_its_number_fits() {
    let mut checker = checker(Start::Beginning, [1]);
    checker.arrived(&label(8, 2));
    assert!(!checker.is_flawless());
    checker.arrived(&label(7, 2));
    let found = checker.finish(&ledger(2, &[]));
    assert_eq!(
        found.broken().collect::<Vec<_>>(),
        [(Promise::RightChannel, 1)],
        "{found:?}"
    );
    assert_eq!(found.example.as_deref(), Some("2 of publisher 1 is of channel 8"));
}

#[test]
fn who_left_early_must_have_seen_everything_until_then() {
    let lost = |start, seen: &[u64], doubtful: &[u64]| {
        let checker = checker(start, seen.iter().copied());
        checker.finish_early(&ledger(5, doubtful)).lost
    };
    assert_eq!(lost(Start::FirstSeen, &[2, 3], &[]), 0);
    assert_eq!(lost(Start::FirstSeen, &[2, 4], &[]), 1);
    assert_eq!(lost(Start::FirstSeen, &[2, 4], &[3]), 0);
    assert_eq!(lost(Start::Beginning, &[2, 3], &[]), 1);
    assert_eq!(lost(Start::Beginning, &[], &[]), 0);
}

#[test]
fn losses_beyond_the_gaps_that_are_remembered_are_found() {
    // Every other one is missing. The first gaps are doubtful ones, and more than are remembered.
    let most = MOST_GAPS as u64;
    let doubtful: Vec<_> = (1..=most).map(|gap| 2 * gap).collect();
    let ledger = ledger(4 * most + 1, &doubtful);
    let odd = (0..=2 * most).map(|step| 2 * step + 1);
    let found = checker(Start::Beginning, odd.clone()).finish(&ledger);
    assert_eq!((found.lost, found.received), (most, 2 * most + 1));
    assert!(found.example.is_some());
    // What is doubtful and has arrived all the same leaves the count as it is.
    let even = doubtful.iter().copied();
    let found = checker(Start::Beginning, even.chain(odd.skip(1))).finish_early(&ledger);
    assert!(found.lost >= most, "{found:?}");
}

#[test]
fn a_gap_that_is_filled_in_its_middle_does_not_grow_without_bound() {
    let most = 2 * MOST_GAPS as u64;
    let seen = [4 * most].into_iter().chain((1..most).map(|step| 2 * step));
    let found = checker(Start::Beginning, seen).finish(&ledger(4 * most, &[]));
    assert_eq!(found.reordered + found.doubled, most - 1);
    assert!(found.lost >= 3 * most, "{found:?}");
}
