//! What becomes of a feed whose partition moves.

use super::*;

#[test]
fn a_move_with_history_goes_on_with_the_next_offset_and_drops_the_window() {
    let (mut feed, mut out) = live(5);
    feed.message(message("e", 6), &mut out);
    feed.moved(Moved::WithHistory, true);
    assert_eq!(feed.need(), Need::Nothing);
    feed.message(message("e", 7), &mut out);
    assert_eq!(seen(&mut out), ["6", "7"]);
    let mut ticket = Ticket::default();
    assert!(feed.join(Some(&stream(at("e", 5))), 8, &mut ticket).is_none());
    assert_eq!(feed.need(), Need::Read(Read::Recent));
}

#[test]
fn after_a_move_without_history_the_new_epoch_follows_in_silence() {
    let (mut feed, mut out) = live(5);
    feed.moved(Moved::WithoutHistory, true);
    assert!(
        feed.join(None, 8, &mut Ticket::default()).is_none(),
        "its epoch is not known"
    );
    feed.message(message("f", 1), &mut out);
    feed.message(message("f", 2), &mut out);
    assert_eq!(seen(&mut out), ["1", "2"]);
    assert_eq!(feed.delivered(), Some(&at("f", 2)));
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn a_quiet_channel_learns_its_new_epoch_from_the_owner() {
    let (mut feed, mut out) = live(5);
    feed.moved(Moved::WithoutHistory, true);
    let pending = feed.begin(Read::Position);
    feed.checked(pending, at("f", 0), &mut out);
    assert_eq!(seen(&mut out), [""; 0]);
    let mut ticket = Ticket::default();
    assert!(feed.join(Some(&stream(at("e", 5))), 8, &mut ticket).is_none());
    let pending = feed.begin(Read::After(Offset::ZERO));
    feed.complete(pending, page("f", 0, []), &mut out);
    let joined = feed.join(Some(&stream(at("e", 5))), 8, &mut ticket).unwrap();
    assert_eq!(
        joined.outcome,
        Some(RecoveryOutcome::Lost(LossReason::EpochChanged))
    );
}

#[test]
fn a_new_epoch_that_is_first_seen_later_is_read_from_its_beginning_or_announced() {
    for (found, expected) in [
        (1..=3, vec!["1", "2", "3"]),
        (2..=3, vec!["position_expired", "2", "3"]),
    ] {
        let (mut feed, mut out) = live(5);
        feed.moved(Moved::WithoutHistory, true);
        assert_eq!(feed.message(message("f", 3), &mut out), Reception::Held);
        assert_eq!(feed.need(), Need::Read(Read::After(Offset::ZERO)));
        let pending = feed.begin(Read::After(Offset::ZERO));
        feed.complete(pending, page("f", 3, found), &mut out);
        assert_eq!(seen(&mut out), expected);
    }
}

#[test]
fn whoever_may_have_missed_the_end_of_an_epoch_is_told() {
    let gap = |feed: &mut Feed, out: &mut Vec<Event>| {
        feed.message(message("e", 8), out);
        feed.moved(Moved::WithoutHistory, true);
    };
    let broken = |feed: &mut Feed, _: &mut Vec<Event>| feed.moved(Moved::WithoutHistory, false);
    let lost_since = |feed: &mut Feed, _: &mut Vec<Event>| {
        feed.moved(Moved::WithoutHistory, true);
        feed.detached();
        feed.attached();
    };
    type Case = fn(&mut Feed, &mut Vec<Event>);
    for case in [gap as Case, broken, lost_since] {
        let (mut feed, mut out) = live(5);
        case(&mut feed, &mut out);
        let Need::Read(read) = feed.need() else {
            panic!("the new owner must be asked")
        };
        let pending = feed.begin(read);
        feed.complete(pending, page("f", 1, []), &mut out);
        assert_eq!(seen(&mut out), ["epoch_changed"]);
    }
}

#[test]
fn what_was_dropped_before_it_came_here_is_read() {
    for (moved, epoch, after) in [(Moved::WithHistory, "e", 5), (Moved::WithoutHistory, "f", 0)] {
        let (mut feed, mut out) = live(5);
        feed.missed();
        feed.moved(moved, true);
        assert_eq!(feed.need(), Need::Read(Read::After(Offset(after))));
        let pending = feed.begin(Read::After(Offset(after)));
        feed.complete(pending, page(epoch, after + 1, [after + 1]), &mut out);
        assert_eq!(seen(&mut out), [(after + 1).to_string()]);
        assert_eq!(feed.need(), Need::Nothing);
    }
}
