//! What those who return are answered, from the window or after a read.

use super::*;

#[test]
fn a_returning_subscriber_is_answered_from_the_window_without_a_read() {
    let (mut feed, mut out) = live(5);
    for offset in 6..=9 {
        feed.message(message("e", offset), &mut out);
    }
    let mut ticket = Ticket::default();
    let joined = feed.join(Some(&stream(at("e", 6))), 8, &mut ticket).unwrap();
    assert_eq!(joined.position, Some(at("e", 9)));
    assert_eq!(offsets(&joined), [7, 8, 9]);
    assert_eq!(joined.outcome, Some(RecoveryOutcome::Recovered));
    assert!(!ticket.took_read());
    let joined = feed.join(Some(&stream(at("e", 9))), 8, &mut ticket).unwrap();
    assert_eq!(
        (offsets(&joined).len(), joined.outcome),
        (0, Some(RecoveryOutcome::Recovered))
    );
}

#[test]
fn all_who_wait_share_one_read_and_then_the_window_shrinks() {
    let (mut feed, mut out) = live(20);
    let recovers = [stream(at("e", 14)), stream(at("e", 19)), stream(at("e", 12))];
    let mut tickets = [Ticket::default(), Ticket::default(), Ticket::default()];
    for (recover, ticket) in recovers.iter().zip(&mut tickets) {
        assert!(feed.join(Some(recover), 8, ticket).is_none());
    }
    assert_eq!(tickets.each_ref().map(Ticket::shared_read), [false, true, true]);
    assert_eq!(feed.need(), Need::Read(Read::Recent));
    let pending = feed.begin(Read::Recent);
    feed.message(message("e", 21), &mut out);
    feed.complete(pending, page("e", 20, (13..=20).rev()), &mut out);
    assert_eq!(feed.need(), Need::Nothing);
    let expected = [15..=21, 20..=21, 0..=0];
    for ((recover, ticket), expected) in recovers.iter().zip(&mut tickets).zip(expected).take(2) {
        let joined = feed.join(Some(recover), 8, ticket).unwrap();
        assert_eq!(offsets(&joined), expected.collect::<Vec<_>>());
        feed.forget(ticket);
    }
    // The third fell behind by more than its limit while it waited.
    let joined = feed.join(Some(&recovers[2]), 8, &mut tickets[2]).unwrap();
    assert_eq!(
        joined.outcome,
        Some(RecoveryOutcome::Lost(LossReason::LimitExceeded))
    );
    feed.forget(&mut tickets[2]);
    assert_eq!(feed.window.floor(Offset(21)), Offset(17));
}

#[test]
fn the_first_read_of_a_returning_subscriber_brings_what_it_missed() {
    let mut feed = Feed::new(true, limits());
    let mut out = Vec::new();
    let mut ticket = Ticket::default();
    let recover = stream(at("e", 2));
    feed.engage();
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
    feed.attached();
    assert_eq!(feed.need(), Need::Read(Read::Recent));
    let pending = feed.begin(Read::Recent);
    feed.message(message("e", 5), &mut out);
    feed.complete(pending, page("e", 4, [4, 3, 2, 1]), &mut out);
    let joined = feed.join(Some(&recover), 8, &mut ticket).unwrap();
    assert_eq!(
        (joined.position.clone(), offsets(&joined)),
        (Some(at("e", 5)), vec![3, 4, 5])
    );
}

#[test]
fn a_position_that_was_trimmed_is_not_recovered() {
    let (mut feed, mut out) = live(9);
    let mut ticket = Ticket::default();
    let recover = stream(at("e", 4));
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
    let pending = feed.begin(Read::Recent);
    feed.complete(pending, page("e", 9, [9, 8, 7]), &mut out);
    let joined = feed.join(Some(&recover), 8, &mut ticket).unwrap();
    assert_eq!(
        joined.outcome,
        Some(RecoveryOutcome::Lost(LossReason::PositionExpired))
    );
    assert!(joined.publications.is_empty());
}

#[test]
fn one_read_tells_everybody_that_their_position_was_trimmed() {
    let (mut feed, mut out) = live(9);
    let mut first = Ticket::default();
    assert!(feed.join(Some(&stream(at("e", 4))), 8, &mut first).is_none());
    let pending = feed.begin(Read::Recent);
    feed.complete(pending, page("e", 9, [9, 8, 7]), &mut out);
    feed.join(Some(&stream(at("e", 4))), 8, &mut first).unwrap();
    feed.forget(&mut first);

    let mut second = Ticket::default();
    let joined = feed.join(Some(&stream(at("e", 5))), 8, &mut second).unwrap();
    assert_eq!(
        joined.outcome,
        Some(RecoveryOutcome::Lost(LossReason::PositionExpired))
    );
    assert_eq!((feed.need(), second.took_read()), (Need::Nothing, false));

    // What is known of the stream of one epoch says nothing of another.
    feed.detached();
    assert!(
        feed.join(Some(&stream(at("e", 5))), 8, &mut Ticket::default())
            .is_none()
    );
    assert_eq!(feed.reads.gone, Offset::ZERO);
}

#[test]
fn a_position_ahead_of_this_gateway_waits_for_the_owners_word() {
    let (mut feed, mut out) = live(5);
    let mut ticket = Ticket::default();
    let recover = stream(at("e", 7));
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
    let Need::Read(read) = feed.need() else {
        panic!("the owner must be asked")
    };
    let pending = feed.begin(read);
    feed.complete(pending, page("e", 8, [6, 7, 8]), &mut out);
    let joined = feed.join(Some(&recover), 8, &mut ticket).unwrap();
    assert_eq!(
        (offsets(&joined), joined.outcome),
        (vec![8], Some(RecoveryOutcome::Recovered))
    );
    assert_eq!(seen(&mut out), ["6", "7", "8"]);
}

#[test]
fn a_position_beyond_the_top_or_of_another_epoch_is_not_recovered() {
    for (position, reason) in [
        (at("e", 7), LossReason::PositionAhead),
        (at("other", 5), LossReason::EpochChanged),
    ] {
        let (mut feed, mut out) = live(5);
        let mut ticket = Ticket::default();
        let recover = stream(position);
        assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
        let pending = feed.begin(Read::After(Offset(5)));
        feed.complete(pending, page("e", 5, []), &mut out);
        let joined = feed.join(Some(&recover), 8, &mut ticket).unwrap();
        assert_eq!(joined.outcome, Some(RecoveryOutcome::Lost(reason)));
        assert_eq!(joined.position, Some(at("e", 5)));
    }
}

#[test]
fn more_than_the_limit_is_not_recovered_and_costs_no_read() {
    let (mut feed, _) = live(20);
    let mut ticket = Ticket::default();
    let joined = feed.join(Some(&stream(at("e", 1))), 8, &mut ticket).unwrap();
    assert_eq!(
        joined.outcome,
        Some(RecoveryOutcome::Lost(LossReason::LimitExceeded))
    );
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn a_cache_is_answered_with_the_latest_publication() {
    let (mut feed, mut out) = live(5);
    let cache = |position| Recover {
        position,
        mode: RecoverMode::Cache,
    };
    let mut ticket = Ticket::default();
    let joined = feed.join(Some(&cache(at("e", 5))), 8, &mut ticket).unwrap();
    assert_eq!(
        (offsets(&joined), joined.outcome),
        (vec![], Some(RecoveryOutcome::Recovered))
    );
    let recover = cache(at("", 0));
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
    let pending = feed.begin(Read::Recent);
    feed.complete(pending, page("e", 5, [5, 4]), &mut out);
    let joined = feed.join(Some(&recover), 8, &mut ticket).unwrap();
    assert_eq!(
        (offsets(&joined), joined.outcome),
        (vec![5], Some(RecoveryOutcome::Recovered))
    );
}

#[test]
fn a_break_drops_the_window() {
    let (mut feed, mut out) = live(5);
    feed.message(message("e", 6), &mut out);
    feed.detached();
    feed.attached();
    let pending = feed.begin(Read::After(Offset(6)));
    feed.complete(pending, page("e", 6, []), &mut out);
    let mut ticket = Ticket::default();
    assert!(feed.join(Some(&stream(at("e", 5))), 8, &mut ticket).is_none());
    assert_eq!(feed.need(), Need::Read(Read::Recent));
}

#[test]
fn what_was_removed_from_the_stream_is_given_to_nobody() {
    let (mut feed, mut out) = live(5);
    feed.message(message("e", 6), &mut out);
    // One subscriber waits for a read that began before the removal and ends after it.
    let (recover, mut ticket) = (stream(at("e", 3)), Ticket::default());
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
    let early = feed.begin(Read::Recent);
    assert_eq!(feed.message(ShardMessage::Cleared, &mut out), Reception::Passed);
    feed.complete(early, page("e", 6, (1..=6).rev()), &mut out);
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());

    assert_eq!(feed.need(), Need::Read(Read::Recent));
    let late = feed.begin(Read::Recent);
    feed.complete(late, page("e", 6, []), &mut out);
    let joined = feed.join(Some(&recover), 8, &mut ticket).unwrap();
    let expired = RecoveryOutcome::Lost(LossReason::PositionExpired);
    assert_eq!((offsets(&joined).len(), joined.outcome), (0, Some(expired)));
    feed.forget(&mut ticket);
    assert_eq!(seen(&mut out), ["6"]);
    feed.message(message("e", 7), &mut out);
    assert_eq!(seen(&mut out), ["7"]);
}
