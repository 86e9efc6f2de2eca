//! The feed's promises one by one; `model` holds them together under random interleavings.

mod model;

use std::sync::Arc;

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{Epoch, Offset, Position, Timestamp};

use super::*;
use crate::audience::{Event, LossReason};
use crate::publication::{Publication, ShardMessage};
use crate::shard::{HistoryPage, HistoryRange};

fn limits() -> Arc<FeedLimits> {
    Arc::new(FeedLimits {
        window_publications: 4,
        window_bytes: 4096,
        held_messages: 4,
        held_bytes: 4096,
        heal_page: 3,
        recovery_limit: 8,
        kept: Arc::default(),
    })
}

fn at(epoch: &str, offset: u64) -> Position {
    Position::new(Epoch::from(epoch), Offset(offset))
}

fn publication(offset: u64) -> Publication {
    let data = Bytes::from(format!("\"{offset}\""));
    Publication {
        offset: Offset(offset),
        data,
        info: None,
        tags: Default::default(),
        time: Timestamp::ZERO,
    }
}

fn message(epoch: &str, offset: u64) -> ShardMessage {
    ShardMessage::Publication {
        position: Some(at(epoch, offset)),
        publication: publication(offset),
    }
}

fn page(epoch: &str, top: u64, offsets: impl IntoIterator<Item = u64>) -> HistoryPage {
    let publications = offsets.into_iter().map(publication).collect();
    HistoryPage {
        position: at(epoch, top),
        publications,
    }
}

/// What subscribers saw, in short: offsets, `j`, `l`, or the reason of a loss.
fn seen(events: &mut Vec<Event>) -> Vec<String> {
    let name = |event| match event {
        Event::Publication(publication) => publication.offset.to_string(),
        Event::Join(_) => "j".into(),
        Event::Leave(_) => "l".into(),
        Event::Lost(reason) => reason.label().into(),
    };
    events.drain(..).map(name).collect()
}

/// A feed with one subscriber that joined at `top` of epoch "e".
fn live(top: u64) -> (Feed, Vec<Event>) {
    let mut feed = Feed::new(true, limits());
    let mut out = Vec::new();
    feed.engage();
    assert_eq!(feed.need(), Need::Subscribe);
    feed.attached();
    assert_eq!(feed.need(), Need::Read(Read::Position));
    let read = feed.begin(Read::Position);
    feed.complete(read, page("e", top, []), &mut out);
    let joined = feed.join(None, 8, &mut Ticket::default()).unwrap();
    assert_eq!(
        joined,
        Subscribed {
            position: Some(at("e", top)),
            publications: vec![],
            outcome: None
        }
    );
    assert_eq!(feed.need(), Need::Nothing);
    (feed, out)
}

fn stream(position: Position) -> Recover {
    Recover {
        position,
        mode: RecoverMode::Stream,
    }
}

fn offsets(subscribed: &Subscribed) -> Vec<u64> {
    subscribed
        .publications
        .iter()
        .map(|publication| publication.offset.get())
        .collect()
}

#[test]
fn the_next_offset_is_delivered_and_a_known_one_dropped() {
    let (mut feed, mut out) = live(5);
    assert_eq!(feed.message(message("e", 6), &mut out), Reception::Passed);
    assert_eq!(feed.message(message("e", 6), &mut out), Reception::Duplicate);
    assert_eq!(feed.message(message("e", 3), &mut out), Reception::Duplicate);
    assert_eq!(feed.message(message("e", 7), &mut out), Reception::Passed);
    assert_eq!(seen(&mut out), ["6", "7"]);
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn a_gap_is_read_once_and_what_arrives_meanwhile_keeps_its_order() {
    let (mut feed, mut out) = live(5);
    assert_eq!(feed.message(message("e", 8), &mut out), Reception::Held);
    let Need::Read(read) = feed.need() else {
        panic!("a gap must be read")
    };
    assert_eq!(read, Read::After(Offset(5)));
    let pending = feed.begin(read);
    feed.message(ShardMessage::Join(ClientInfo::default()), &mut out);
    feed.message(message("e", 9), &mut out);
    assert_eq!(seen(&mut out), [""; 0]);
    feed.complete(pending, page("e", 8, [6, 7, 8]), &mut out);
    assert_eq!(seen(&mut out), ["6", "7", "8", "j", "9"]);
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn a_gap_larger_than_a_page_takes_several() {
    let (mut feed, mut out) = live(0);
    feed.message(message("e", 5), &mut out);
    let first = feed.begin(Read::After(Offset(0)));
    feed.complete(first, page("e", 5, [1, 2, 3]), &mut out);
    assert_eq!(feed.need(), Need::Read(Read::After(Offset(3))));
    let second = feed.begin(Read::After(Offset(3)));
    feed.complete(second, page("e", 5, [4, 5]), &mut out);
    assert_eq!(seen(&mut out), ["1", "2", "3", "4", "5"]);
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn a_gap_that_history_cannot_fill_is_announced_before_what_follows() {
    let (mut feed, mut out) = live(5);
    feed.message(message("e", 9), &mut out);
    let pending = feed.begin(Read::After(Offset(5)));
    feed.complete(pending, page("e", 9, [8, 9]), &mut out);
    assert_eq!(seen(&mut out), ["position_expired", "8", "9"]);
    assert_eq!(feed.delivered(), Some(&at("e", 9)));
}

#[test]
fn an_emptied_stream_goes_on_with_what_is_held() {
    let (mut feed, mut out) = live(5);
    feed.message(message("e", 8), &mut out);
    let pending = feed.begin(Read::After(Offset(5)));
    feed.complete(pending, page("e", 8, []), &mut out);
    assert_eq!(seen(&mut out), ["position_expired", "8"]);
}

#[test]
fn a_new_epoch_is_adopted_on_the_owners_word_only() {
    let (mut feed, mut out) = live(5);
    assert_eq!(feed.message(message("f", 1), &mut out), Reception::Held);
    assert_eq!(feed.need(), Need::Read(Read::After(Offset(5))));
    let pending = feed.begin(Read::After(Offset(5)));
    feed.message(message("f", 2), &mut out);
    feed.complete(pending, page("f", 1, []), &mut out);
    assert_eq!(seen(&mut out), ["epoch_changed", "1", "2"]);
    assert_eq!(feed.delivered(), Some(&at("f", 2)));
}

#[test]
fn a_late_message_of_an_old_epoch_disturbs_nobody() {
    let (mut feed, mut out) = live(5);
    feed.message(message("old", 9), &mut out);
    let Need::Read(read) = feed.need() else {
        panic!("only the owner can tell which epoch is newer")
    };
    let pending = feed.begin(read);
    feed.complete(pending, page("e", 5, []), &mut out);
    feed.message(message("e", 6), &mut out);
    assert_eq!(seen(&mut out), ["6"]);
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn what_does_not_fit_is_dropped_and_read_again() {
    let (mut feed, mut out) = live(0);
    feed.message(message("e", 2), &mut out);
    let pending = feed.begin(Read::After(Offset(0)));
    feed.message(ShardMessage::Leave(ClientInfo::default()), &mut out);
    feed.message(message("e", 3), &mut out);
    feed.message(message("e", 4), &mut out);
    assert_eq!(feed.message(message("e", 5), &mut out), Reception::Overflowed);
    assert_eq!(seen(&mut out), ["l"]);
    feed.complete(pending, page("e", 2, [1, 2]), &mut out);
    assert_eq!(feed.need(), Need::Read(Read::After(Offset(2))));
    let again = feed.begin(Read::After(Offset(2)));
    feed.complete(again, page("e", 5, [3, 4, 5]), &mut out);
    assert_eq!(seen(&mut out), ["1", "2", "3", "4", "5"]);
    assert_eq!(feed.need(), Need::Nothing);
}

#[test]
fn a_break_under_the_same_epoch_heals_unnoticed() {
    let (mut feed, mut out) = live(5);
    feed.detached();
    assert_eq!(feed.need(), Need::Subscribe);
    feed.attached();
    assert!(feed.join(None, 8, &mut Ticket::default()).is_none());
    let Need::Read(read) = feed.need() else {
        panic!("must be verified")
    };
    let pending = feed.begin(read);
    feed.complete(pending, page("e", 7, [6, 7]), &mut out);
    assert_eq!(seen(&mut out), ["6", "7"]);
    assert!(feed.is_live());
}

#[test]
fn a_page_from_before_a_break_does_not_count_as_verification() {
    let (mut feed, mut out) = live(5);
    feed.message(message("e", 7), &mut out);
    let pending = feed.begin(Read::After(Offset(5)));
    feed.detached();
    feed.attached();
    feed.complete(pending, page("e", 7, [6, 7]), &mut out);
    assert!(!feed.is_live());
    assert_eq!(feed.need(), Need::Read(Read::After(Offset(5))));
}

#[test]
fn a_lost_end_under_the_same_epoch_is_announced() {
    let (mut feed, mut out) = live(5);
    let pending = feed.begin(Read::Position);
    feed.checked(pending, at("e", 3), &mut out);
    assert_eq!(seen(&mut out), ["position_ahead"]);
    assert_eq!(feed.delivered(), Some(&at("e", 3)));
}

#[test]
fn a_check_that_finds_the_feed_behind_heals_it() {
    let (mut feed, mut out) = live(5);
    assert!(feed.take_idle());
    let pending = feed.begin(Read::Position);
    feed.checked(pending, at("e", 6), &mut out);
    assert_eq!(feed.need(), Need::Read(Read::After(Offset(5))));
}

#[test]
fn a_check_answered_before_a_newer_message_came_changes_nothing() {
    let (mut feed, mut out) = live(5);
    let pending = feed.begin(Read::Position);
    feed.message(message("e", 6), &mut out);
    feed.checked(pending, at("e", 5), &mut out);
    assert_eq!(seen(&mut out), ["6"]);
    assert_eq!(feed.need(), Need::Nothing);
    assert!(!feed.take_idle(), "a message came");
    assert!(feed.take_idle());
}

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

/// A feed that is live at 20 and has read what a subscriber at 13 missed.
fn recovered_from_13(kept: &Arc<KeptBytes>) -> (Feed, Vec<Event>) {
    let (mut feed, mut out) = live(20);
    feed.limits = Arc::new(FeedLimits {
        kept: Arc::clone(kept),
        ..(*limits()).clone()
    });
    let mut ticket = Ticket::default();
    let recover = stream(at("e", 13));
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_none());
    let pending = feed.begin(Read::Recent);
    feed.complete(pending, page("e", 20, (13..=20).rev()), &mut out);
    assert!(feed.join(Some(&recover), 8, &mut ticket).is_some());
    feed.forget(&mut ticket);
    (feed, out)
}

#[test]
fn who_returns_later_shares_the_read_of_those_before() {
    let kept = KeptBytes::new(1 << 20);
    let (mut feed, mut out) = recovered_from_13(&kept);
    feed.message(message("e", 21), &mut out);
    let recover = stream(at("e", 13));
    let joined = feed.join(Some(&recover), 8, &mut Ticket::default()).unwrap();
    assert_eq!(offsets(&joined), (14..=21).collect::<Vec<_>>());
    feed.take_idle();
    assert!(
        feed.window.floor(Offset(21)) <= Offset(13),
        "for an interval at least"
    );
    feed.take_idle();
    assert_eq!(feed.window.floor(Offset(21)), Offset(17), "for two at most");
    assert!(kept.take(1 << 20).is_some(), "all of it is given back");
}

#[test]
fn what_is_kept_does_not_grow() {
    let kept = KeptBytes::new(1 << 20);
    let (mut feed, mut out) = recovered_from_13(&kept);
    let bytes = feed.window.bytes();
    for offset in 21..100 {
        feed.message(message("e", offset), &mut out);
    }
    assert!(feed.window.bytes() <= bytes.max(4096));
    assert!(
        feed.window.floor(Offset(99)) >= Offset(99 - 12),
        "a window and a page"
    );
}

#[test]
fn what_is_kept_is_within_the_bytes_of_all_feeds() {
    let kept = KeptBytes::new(2000);
    let (first, _) = recovered_from_13(&kept);
    let (second, _) = recovered_from_13(&kept);
    assert!(first.window.floor(Offset(20)) <= Offset(13));
    assert_eq!(
        second.window.floor(Offset(20)),
        Offset(16),
        "there is no room for a second one"
    );
    drop(first);
    let (third, _) = recovered_from_13(&kept);
    assert!(
        third.window.floor(Offset(20)) <= Offset(13),
        "the first one's room is free"
    );
}

#[test]
fn what_is_kept_goes_with_the_window() {
    let kept = KeptBytes::new(2000);
    let (mut feed, _) = recovered_from_13(&kept);
    feed.detached();
    assert!(kept.take(2000).is_some());
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

#[test]
fn a_released_feed_ignores_what_still_arrives_and_begins_anew() {
    let (mut feed, mut out) = live(5);
    feed.release();
    assert_eq!(feed.message(message("e", 6), &mut out), Reception::Ignored);
    assert_eq!(feed.need(), Need::Nothing);
    feed.engage();
    feed.attached();
    assert_eq!(feed.need(), Need::Read(Read::Position));
}

#[test]
fn without_a_stream_messages_pass_as_they_come() {
    let mut feed = Feed::new(false, limits());
    let mut out = Vec::new();
    feed.engage();
    feed.attached();
    assert_eq!(feed.need(), Need::Nothing);
    let joined = feed.join(None, 8, &mut Ticket::default()).unwrap();
    assert_eq!(joined.position, None);
    let plain = ShardMessage::Publication {
        position: None,
        publication: publication(0),
    };
    assert_eq!(feed.message(plain, &mut out), Reception::Passed);
    assert_eq!(seen(&mut out), ["0"]);
    assert!(!feed.take_idle(), "there is no position to check");
}

#[test]
fn a_stream_that_is_switched_on_later_begins_where_it_is() {
    let mut feed = Feed::new(false, limits());
    let mut out = Vec::new();
    feed.engage();
    feed.attached();
    feed.join(None, 8, &mut Ticket::default()).unwrap();
    feed.enable_stream();
    feed.message(message("e", 4), &mut out);
    let pending = feed.begin(Read::Position);
    feed.complete(pending, page("e", 4, []), &mut out);
    assert_eq!(seen(&mut out), ["4"]);
    assert_eq!(feed.delivered(), Some(&at("e", 4)));
}

#[test]
fn the_window_stays_within_its_bytes() {
    let (mut feed, mut out) = live(0);
    for offset in 1..=3 {
        let mut large = publication(offset);
        large.data = Bytes::from(vec![b'0'; 1500]);
        let position = Some(at("e", offset));
        feed.message(
            ShardMessage::Publication {
                position,
                publication: large,
            },
            &mut out,
        );
    }
    assert_eq!(feed.window.floor(Offset(3)), Offset(1));
}

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

#[test]
fn a_full_page_that_has_been_overtaken_says_nothing_of_what_follows() {
    let (mut feed, mut out) = live(0);
    let pending = feed.begin(Read::After(Offset(0)));
    for offset in 1..=3 {
        feed.message(message("e", offset), &mut out);
    }
    feed.complete(pending, page("e", 5, [1, 2, 3]), &mut out);
    assert_eq!(seen(&mut out), ["1", "2", "3"]);
    assert_eq!(feed.need(), Need::Read(Read::After(Offset(3))));
}
