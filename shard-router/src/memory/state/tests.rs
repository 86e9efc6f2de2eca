mod copying;

use std::time::Duration;

use bytes::Bytes;
use campanile_common::{Epoch, Offset};

use super::*;
use crate::fence::{FenceCommand, FenceReply};
use crate::shard::{HistoryRange, IdempotencyKey, StreamLimits};
use crate::topology::Token;

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn open_state(limit: usize) -> (MemoryState, Partition, ChannelName) {
    let mut state = MemoryState::new(Incarnation::new("run-1"), Data::default(), limit);
    let channel = ChannelName::from_trusted("news");
    let partition = Partition::of(&channel);
    open(&mut state, partition);
    (state, partition, channel)
}

fn open(state: &mut MemoryState, partition: Partition) {
    let (generation, token) = (Generation(1), Token(1));
    assert_eq!(
        state.fence(
            partition,
            &FenceCommand::Fresh {
                generation,
                token,
                unless_open: None
            }
        ),
        FenceReply::Done
    );
    assert_eq!(
        state.fence(partition, &FenceCommand::Open { generation, token }),
        FenceReply::Done
    );
}

fn request(channel: &ChannelName, size: usize) -> PublishRequest {
    PublishRequest {
        channel: channel.clone(),
        publication: Publication {
            offset: Offset::ZERO,
            data: Bytes::from(vec![b'x'; size]),
            info: None,
            tags: BTreeMap::new(),
            time: NOW,
        },
        stream: Some(StreamLimits {
            size: 5,
            ttl: Duration::from_secs(10),
            meta_ttl: Duration::from_secs(100),
        }),
        idempotency: Some(IdempotencyKey {
            key: format!("key-{size}"),
            ttl: Duration::from_secs(20),
        }),
        version: None,
        new_epoch: Epoch::new("e1"),
    }
}

fn entry(partition: Partition, channel: &ChannelName, client: &str) -> PresenceEntry {
    let info = ClientInfo {
        client: client.to_owned(),
        ..ClientInfo::default()
    };
    PresenceEntry {
        partition,
        channel: channel.clone(),
        info: info.into(),
        ttl: Duration::from_secs(30),
    }
}

fn collect_all(state: &mut MemoryState, now: Timestamp) {
    let first = Partition::all().next().unwrap();
    state.collect(now, first, usize::MAX);
}

#[test]
fn a_full_server_refuses_and_serves_again_when_something_expired() {
    let (mut state, partition, channel) = open_state(4_000);
    state.publish(NOW, partition, request(&channel, 2_000)).unwrap();
    let refused = state
        .publish(NOW, partition, request(&channel, 2_001))
        .unwrap_err();
    assert!(matches!(refused, ShardError::Refused(_)), "{refused}");

    let fan_out = PublishRequest {
        stream: None,
        idempotency: None,
        ..request(&channel, 2_001)
    };
    state.publish(NOW, partition, fan_out).unwrap();

    let later = NOW + Duration::from_secs(11);
    collect_all(&mut state, later);
    state.publish(later, partition, request(&channel, 2_001)).unwrap();
}

#[test]
fn a_refused_publication_leaves_no_trace() {
    let (mut state, partition, channel) = open_state(1_000);
    state
        .publish(NOW, partition, request(&channel, 2_000))
        .unwrap_err();
    assert_eq!(state.bytes(), 0);
    assert!(state.data.partitions[&partition].channels.is_empty());
}

#[test]
fn everything_expired_is_freed_without_a_touch_and_the_account_balances() {
    let (mut state, partition, channel) = open_state(usize::MAX);
    for size in 0..20 {
        state.publish(NOW, partition, request(&channel, size)).unwrap();
    }
    for client in ["a", "b", "a"] {
        state
            .refresh_presence(NOW, &entry(partition, &channel, client))
            .unwrap();
    }
    let other = ChannelName::from_trusted("other");
    state
        .refresh_presence(NOW, &entry(partition, &other, "c"))
        .unwrap();
    state.remove_presence(partition, &other, "c").unwrap();
    let sum: usize = state.data.partitions[&partition]
        .channels
        .values()
        .map(Channel::bytes)
        .sum();
    assert_eq!(state.bytes(), sum);
    assert!(sum > 0);

    collect_all(&mut state, NOW + Duration::from_secs(101));
    assert_eq!(state.bytes(), 0);
    assert!(state.data.partitions[&partition].channels.is_empty());
}

#[test]
fn collecting_goes_round_all_partitions() {
    let (mut state, ..) = open_state(usize::MAX);
    for index in 0..40 {
        open(&mut state, Partition::from_index(index * 100).unwrap());
    }
    let mut next = Partition::from_index(0).unwrap();
    let mut turns = 0;
    loop {
        next = state.collect(NOW, next, 7);
        turns += 1;
        if next.index() == 0 {
            break;
        }
    }
    assert_eq!(turns, 6, "41 partitions at most, 7 a turn");
}

#[test]
fn a_snapshot_is_not_changed_by_what_happens_later() {
    let (mut state, partition, channel) = open_state(usize::MAX);
    state.publish(NOW, partition, request(&channel, 1)).unwrap();
    let data = state.data();
    state.publish(NOW, partition, request(&channel, 2)).unwrap();

    let mut restored = MemoryState::new(Incarnation::new("run-2"), data, usize::MAX);
    let read = HistoryRequest {
        channel,
        range: HistoryRange::POSITION,
        meta_ttl: Duration::from_secs(1),
        new_epoch: Epoch::new("unused"),
    };
    let page = restored.history(NOW, partition, read).unwrap();
    assert_eq!(page.position.offset, Offset(1));
}
