use super::*;

mod model;

type Channel = Subscriptions<u32>;

const LIMITS: HoldLimits = HoldLimits {
    messages: 3,
    bytes: 30,
};

impl Weighed for u32 {
    fn bytes(&self) -> usize {
        10
    }
}

fn id(name: &str) -> ShardId {
    ShardId::new(name)
}

fn stable(shard: &str) -> PartitionState {
    PartitionState::Stable(id(shard))
}

fn moving(from: &str, to: &str, generation: u64) -> PartitionState {
    PartitionState::Moving {
        from: id(from),
        to: id(to),
        generation: Generation(generation),
        aborting: None,
        history: MoveHistory::Keep,
    }
}

fn opening(shard: &str, generation: u64) -> PartitionState {
    PartitionState::Opening {
        shard: id(shard),
        generation: Generation(generation),
        content: crate::topology::OpeningContent::Fresh,
    }
}

fn applied(state: &PartitionState, generation: u64) -> Handover {
    let mut handover = Handover::default();
    handover.apply(state, Generation(generation));
    handover
}

/// Subscribes and acknowledges.
fn subscribe(channel: &mut Channel, handover: &mut Handover, shard: &str, link: Serial) {
    let request = channel.subscribing(handover, &id(shard), link).unwrap();
    channel.subscribed(request);
}

fn unsubscribe(channel: &mut Channel, handover: &mut Handover, link: Serial) -> Effect {
    let request = channel.unsubscribing(link).unwrap();
    channel.unsubscribed(handover, request)
}

fn receive(channel: &mut Channel, handover: &Handover, link: Serial, message: u32) -> Receipt<u32> {
    channel.receive(handover.verdict(link), link, message, &LIMITS)
}

/// A channel subscribed at A on link 1 and at B on link 2, while the partition moves from A to B at generation 2.
fn both() -> (Handover, Channel) {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    subscribe(&mut channel, &mut handover, "a", 1);
    assert_eq!(
        handover.apply(&moving("a", "b", 2), Generation(2)),
        Change::Sources
    );
    subscribe(&mut channel, &mut handover, "b", 2);
    (handover, channel)
}

#[test]
fn a_channel_is_attached_where_it_is_required_and_acknowledged() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    assert!(channel.lacks(&handover) && !channel.is_attached(&handover));
    let request = channel.subscribing(&mut handover, &id("a"), 1).unwrap();
    assert!(channel.lacks(&handover) && !channel.is_attached(&handover));
    channel.subscribed(request);
    assert!(channel.is_attached(&handover) && !channel.lacks(&handover));
    handover.apply(&moving("a", "b", 2), Generation(2));
    assert_eq!(channel.missing(&handover).collect::<Vec<_>>(), [&id("b")]);
    assert!(!handover.is_acknowledgeable(1));
    subscribe(&mut channel, &mut handover, "b", 2);
    assert!(channel.is_attached(&handover) && handover.is_acknowledgeable(0));
}

#[test]
fn nothing_is_required_before_the_first_document() {
    let handover = Handover::default();
    let channel = Channel::new(&handover);
    assert!(!channel.is_attached(&handover) && !channel.lacks(&handover));
    assert!(handover.is_acknowledgeable(0));
}

#[test]
fn the_acknowledgement_of_an_earlier_request_does_not_count() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    let first = channel.subscribing(&mut handover, &id("a"), 1).unwrap();
    let leaving = channel.unsubscribing(1).unwrap();
    let second = channel.subscribing(&mut handover, &id("a"), 1).unwrap();
    channel.subscribed(first);
    assert!(channel.lacks(&handover), "not the second");
    assert_eq!(channel.unsubscribed(&mut handover, leaving), Effect::Nothing);
    assert_eq!(handover.shard_of(1), Some(&id("a")), "it is subscribed again");
    channel.subscribed(second);
    assert!(channel.is_attached(&handover));
}

#[test]
fn the_target_is_held_back_until_the_marker() {
    let (mut handover, mut channel) = both();
    assert_eq!(receive(&mut channel, &handover, 1, 1), Receipt::Deliver(1));
    assert_eq!(receive(&mut channel, &handover, 2, 3), Receipt::Held);
    assert_eq!(receive(&mut channel, &handover, 1, 2), Receipt::Deliver(2));
    assert!(channel.settle(&handover).released.is_empty());
    assert_eq!(handover.marker(&id("a"), 1, Generation(2)), Effect::Released);
    assert!(handover.is_sealed_at_source());
    let settled = channel.settle(&handover);
    assert_eq!(settled.moved, Some(MoveHistory::Keep));
    assert_eq!(settled.released, [3]);
    assert_eq!(receive(&mut channel, &handover, 2, 4), Receipt::Deliver(4));
    assert_eq!(handover.apply(&stable("b"), Generation(3)), Change::Sources);
    assert_eq!(channel.settle(&handover).moved, None, "it was told already");
    assert_eq!(channel.surplus(&handover).collect::<Vec<_>>(), [1]);
    assert_eq!(unsubscribe(&mut channel, &mut handover, 1), Effect::Nothing);
    assert!(channel.is_attached(&handover) && !channel.is_gone());
}

#[test]
fn the_commit_releases_nothing_but_an_acknowledged_unsubscribe_does() {
    let (mut handover, mut channel) = both();
    handover.apply(&stable("b"), Generation(3));
    assert_eq!(receive(&mut channel, &handover, 2, 2), Receipt::Held);
    assert!(!handover.is_acknowledgeable(0), "a is not drained");
    let request = channel.unsubscribing(1).unwrap();
    assert_eq!(
        receive(&mut channel, &handover, 1, 1),
        Receipt::Deliver(1),
        "what it still sends"
    );
    assert!(channel.settle(&handover).released.is_empty());
    assert_eq!(channel.unsubscribed(&mut handover, request), Effect::Released);
    let settled = channel.settle(&handover);
    assert_eq!(
        (settled.moved, settled.released),
        (Some(MoveHistory::Keep), vec![2])
    );
    assert!(handover.is_acknowledgeable(0));
    assert_eq!(receive(&mut channel, &handover, 1, 9), Receipt::Stray);
}

#[test]
fn every_channel_of_the_partition_counts() {
    let (mut handover, mut channel) = both();
    let mut other = Channel::new(&handover);
    subscribe(&mut other, &mut handover, "a", 1);
    handover.apply(&stable("b"), Generation(3));
    assert_eq!(unsubscribe(&mut channel, &mut handover, 1), Effect::Nothing);
    assert!(!handover.is_drained());
    assert_eq!(unsubscribe(&mut other, &mut handover, 1), Effect::Released);
}

#[test]
fn a_marker_of_an_earlier_move_releases_nothing() {
    let (mut handover, mut channel) = both();
    assert_eq!(handover.marker(&id("a"), 1, Generation(1)), Effect::Nothing);
    assert_eq!(receive(&mut channel, &handover, 2, 2), Receipt::Held);
    assert_eq!(
        handover.marker(&id("b"), 2, Generation(2)),
        Effect::Nothing,
        "nor another shard's"
    );
    assert!(!handover.is_drained());
}

#[test]
fn a_broken_link_releases_but_its_successor_counts_again() {
    let (mut handover, mut channel) = both();
    assert_eq!(receive(&mut channel, &handover, 2, 2), Receipt::Held);
    assert_eq!(handover.link_down(1), Effect::Released);
    assert!(channel.notice_breaks(&handover), "messages may have been missed");
    assert!(!channel.notice_breaks(&handover), "noticed once");
    assert_eq!(channel.settle(&handover).released, [2]);
    assert_eq!(receive(&mut channel, &handover, 2, 3), Receipt::Deliver(3));
    subscribe(&mut channel, &mut handover, "a", 3);
    assert_eq!(receive(&mut channel, &handover, 2, 4), Receipt::Held);
    assert_eq!(handover.marker(&id("a"), 3, Generation(2)), Effect::Released);
}

#[test]
fn a_seal_is_as_good_as_a_marker_on_a_link_without_channels() {
    let (mut handover, mut channel) = both();
    handover.link_down(1);
    channel.notice_breaks(&handover);
    assert_eq!(handover.sealed(&id("a"), 3, Generation(2)), Effect::Released);
    subscribe(&mut channel, &mut handover, "a", 3);
    assert!(handover.is_drained());
    handover.link_down(3);
    channel.notice_breaks(&handover);
    subscribe(&mut channel, &mut handover, "a", 4);
    assert_eq!(
        handover.sealed(&id("a"), 4, Generation(2)),
        Effect::Nothing,
        "a message may be on its way"
    );
    assert!(!handover.is_drained());
}

#[test]
fn only_what_was_still_awaited_is_missed_when_a_former_owner_breaks() {
    for marked in [true, false] {
        let (mut handover, mut channel) = both();
        if marked {
            handover.marker(&id("a"), 1, Generation(2));
        }
        handover.apply(&stable("b"), Generation(3));
        channel.unsubscribing(1).unwrap();
        handover.link_down(1);
        assert_eq!(channel.notice_breaks(&handover), !marked);
        assert!(channel.is_attached(&handover));
    }
}

#[test]
fn the_next_move_waits_until_the_last_one_is_drained() {
    let (mut handover, mut channel) = both();
    handover.apply(&stable("b"), Generation(3));
    assert!(!handover.may_apply(&moving("b", "a", 4)));
    let request = channel.unsubscribing(1).unwrap();
    channel.unsubscribed(&mut handover, request);
    assert!(handover.may_apply(&moving("b", "a", 4)));
    assert_eq!(
        handover.apply(&moving("b", "a", 4), Generation(4)),
        Change::Sources
    );
    subscribe(&mut channel, &mut handover, "a", 1);
    assert_eq!(receive(&mut channel, &handover, 1, 1), Receipt::Held);
}

#[test]
fn a_move_whose_commit_was_not_seen_ends_by_what_is_foreseen() {
    let (mut handover, mut channel) = both();
    let next = moving("b", "c", 4);
    assert!(!handover.may_apply(&next));
    handover.foresee(&next);
    assert_eq!(handover.required().collect::<Vec<_>>(), [&id("b")]);
    assert_eq!(channel.surplus(&handover).collect::<Vec<_>>(), [1]);
    assert_eq!(receive(&mut channel, &handover, 2, 7), Receipt::Held);
    assert_eq!(unsubscribe(&mut channel, &mut handover, 1), Effect::Released);
    assert_eq!(channel.settle(&handover).released, [7]);
    assert!(handover.may_apply(&next));
    assert_eq!(handover.apply(&next, Generation(4)), Change::Sources);
    assert_eq!(channel.settle(&handover).moved, Some(MoveHistory::Keep));
    assert_eq!(handover.draining(), Some(&id("b")));
}

#[test]
fn an_abandoned_move_leaves_the_target_and_awaits_nothing() {
    let (mut handover, mut channel) = both();
    assert!(handover.may_apply(&moving("a", "c", 4)), "announced anew at once");
    assert_eq!(handover.apply(&stable("a"), Generation(3)), Change::Sources);
    assert!(handover.is_drained() && handover.is_acknowledgeable(0));
    assert_eq!(channel.settle(&handover).moved, None);
    assert_eq!(channel.surplus(&handover).collect::<Vec<_>>(), [2]);
    assert_eq!(receive(&mut channel, &handover, 1, 1), Receipt::Deliver(1));
    assert!(handover.may_apply(&moving("a", "b", 4)));
}

#[test]
fn aborting_changes_nothing() {
    let (mut handover, _) = both();
    let mut aborting = moving("a", "b", 2);
    if let PartitionState::Moving { aborting, .. } = &mut aborting {
        *aborting = Some(Generation(3));
    }
    assert!(handover.may_apply(&aborting));
    assert_eq!(handover.apply(&aborting, Generation(3)), Change::Nothing);
}

#[test]
fn a_jump_to_another_owner_breaks_continuity_and_awaits_the_end_of_the_former_subscriptions() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    subscribe(&mut channel, &mut handover, "a", 1);
    assert_eq!(handover.apply(&opening("c", 5), Generation(5)), Change::Broken);
    subscribe(&mut channel, &mut handover, "c", 3);
    handover.marker(&id("a"), 1, Generation(4));
    assert_eq!(
        receive(&mut channel, &handover, 3, 2),
        Receipt::Held,
        "no marker is known to be its last"
    );
    assert_eq!(handover.apply(&stable("b"), Generation(6)), Change::Broken);
    assert_eq!(handover.draining(), Some(&id("a")), "the earliest is awaited");
    assert!(!handover.may_apply(&moving("b", "a", 7)));
    assert_eq!(unsubscribe(&mut channel, &mut handover, 1), Effect::Released);
    assert_eq!(channel.settle(&handover).moved, None, "no move has ended");
}

#[test]
fn a_jump_into_a_move_waits_until_the_former_owner_is_left() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    subscribe(&mut channel, &mut handover, "a", 1);
    let next = moving("b", "c", 5);
    assert!(!handover.may_apply(&next));
    handover.foresee(&next);
    assert_eq!(handover.required().count(), 0);
    unsubscribe(&mut channel, &mut handover, 1);
    assert!(handover.may_apply(&next));
    assert_eq!(handover.apply(&next, Generation(5)), Change::Broken);
    assert_eq!(channel.missing(&handover).count(), 2);
}

#[test]
fn a_lost_source_leaves_the_target_with_a_broken_stream() {
    let (mut handover, _) = both();
    handover.link_down(1);
    assert_eq!(handover.apply(&opening("b", 4), Generation(4)), Change::Broken);
    assert!(handover.is_drained());
}

#[test]
fn a_marker_from_the_future_ends_service_until_its_document() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    subscribe(&mut channel, &mut handover, "a", 1);
    assert_eq!(handover.marker(&id("a"), 1, Generation(4)), Effect::Expired);
    assert!(handover.is_expired() && !channel.is_attached(&handover));
    assert_eq!(channel.surplus(&handover).count(), 0, "it is not given up");
    assert_eq!(handover.apply(&stable("a"), Generation(3)), Change::Nothing);
    assert!(handover.is_expired());
    assert_eq!(
        handover.apply(&moving("a", "b", 4), Generation(4)),
        Change::Broken
    );
    assert!(!handover.is_expired() && handover.is_drained());
}

#[test]
fn too_much_held_back_is_dropped_as_a_whole() {
    let (handover, mut channel) = both();
    for message in 1..=3 {
        assert_eq!(receive(&mut channel, &handover, 2, message), Receipt::Held);
    }
    assert_eq!(
        receive(&mut channel, &handover, 2, 4),
        Receipt::Overflowed { dropped: 4 }
    );
    assert!(!channel.holds_back());
    assert_eq!(receive(&mut channel, &handover, 2, 5), Receipt::Held);
}

#[test]
fn who_joins_anew_forgets_everything() {
    let (mut handover, mut channel) = both();
    assert_eq!(receive(&mut channel, &handover, 2, 2), Receipt::Held);
    handover.rejoin();
    channel.rejoin();
    assert!(handover.is_drained() && channel.is_gone() && !channel.holds_back());
    assert!(handover.may_apply(&moving("b", "a", 9)));
    assert_eq!(receive(&mut channel, &handover, 1, 1), Receipt::Stray);
}

#[test]
fn a_request_on_a_link_that_was_replaced_is_not_noted() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    subscribe(&mut channel, &mut handover, "a", 5);
    assert_eq!(channel.subscribing(&mut handover, &id("a"), 4), None);
    subscribe(&mut channel, &mut handover, "a", 6);
    assert!(channel.notice_breaks(&handover), "link 5 was replaced");
    assert!(channel.is_attached(&handover));
}

#[test]
fn a_channel_costs_little() {
    assert!(size_of::<Subscriptions<[u64; 100]>>() <= 32);
}

#[test]
fn a_read_of_the_new_epoch_waits_for_the_end_of_the_old_one() {
    let mut handover = applied(&stable("a"), 1);
    let mut channel = Channel::new(&handover);
    subscribe(&mut channel, &mut handover, "a", 1);
    let PartitionState::Moving {
        from, to, generation, ..
    } = moving("a", "b", 2)
    else {
        unreachable!("it moves")
    };
    let without_history = PartitionState::Moving {
        from,
        to,
        generation,
        aborting: None,
        history: MoveHistory::Drop,
    };
    handover.apply(&without_history, Generation(2));
    assert!(handover.may_read(&id("a")) && !handover.may_read(&id("b")));
    handover.apply(&stable("b"), Generation(3));
    assert!(!handover.may_read(&id("b")), "what A sent last may be on its way");
    handover.marker(&id("a"), 1, Generation(2));
    assert!(handover.may_read(&id("b")));
    let (handover, _) = both();
    assert!(handover.may_read(&id("b")), "the epoch goes on");
}

#[test]
fn who_joins_anew_in_the_midst_of_a_move_still_waits_for_the_source() {
    let (mut handover, mut channel) = both();
    handover.rejoin();
    channel.rejoin();
    subscribe(&mut channel, &mut handover, "a", 3);
    subscribe(&mut channel, &mut handover, "b", 4);
    assert_eq!(receive(&mut channel, &handover, 4, 1), Receipt::Held);
    assert_eq!(receive(&mut channel, &handover, 3, 2), Receipt::Deliver(2));
    handover.apply(&stable("b"), Generation(3));
    assert_eq!(receive(&mut channel, &handover, 4, 3), Receipt::Held);
    assert_eq!(handover.marker(&id("a"), 3, Generation(2)), Effect::Released);
    assert_eq!(channel.settle(&handover).released, [1, 3]);
}

#[test]
fn joining_anew_is_no_end_of_a_move() {
    let (mut handover, mut channel) = both();
    assert_eq!(handover.marker(&id("a"), 1, Generation(2)), Effect::Released);
    assert!(channel.settle(&handover).moved.is_some());
    handover.rejoin();
    channel.rejoin();
    assert!(channel.settle(&handover).moved.is_none());
}
