//! What subscribers see while a feed is live: order, gaps, breaks, checks.

use super::*;

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
