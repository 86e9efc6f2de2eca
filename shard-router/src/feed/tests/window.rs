//! What is kept for those who return, and its bounds.

use super::*;

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
