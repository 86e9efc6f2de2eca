//! Partitions that move from one state to another, by hand.

use std::collections::BTreeSet;

use campanile_common::Position;

use super::*;
use crate::fence::OwnerState;
use crate::safeguard::{Safeguard, without};
use crate::shard::{CopyItem, CopyPart, CopyScope, ScanCursor};

const MOVE: Generation = Generation(7);
const TOKEN: Token = Token(3);

/// Source and target of a move, both fenced for it.
struct Move {
    source: MemoryState,
    target: MemoryState,
    partition: Partition,
    channel: ChannelName,
    since: u64,
    marks: BTreeMap<Bytes, Bytes>,
}

impl Move {
    /// A partition whose channel has `publications`, copied in parts of two entries.
    fn of(publications: usize) -> Self {
        let (mut source, partition, channel) = open_state(usize::MAX);
        source.set_part_entries(2);
        for size in 0..publications {
            source.publish(NOW, partition, request(&channel, size)).unwrap();
        }
        let mut target = MemoryState::new(Incarnation::new("run-2"), Data::default(), usize::MAX);
        let generation = MOVE;
        let import = FenceCommand::Import {
            generation,
            token: TOKEN,
            floor: Generation(1),
        };
        assert_eq!(target.fence(partition, &import), FenceReply::Done);
        assert_eq!(
            source.fence(partition, &FenceCommand::Migrate { generation }),
            FenceReply::Done
        );
        Self {
            source,
            target,
            partition,
            channel,
            since: 0,
            marks: BTreeMap::new(),
        }
    }

    fn publish(&mut self, size: usize) {
        let request = request(&self.channel, size);
        self.source.publish(NOW, self.partition, request).unwrap();
    }

    fn items(&self) -> Vec<CopyItem> {
        let all = BTreeSet::from([self.partition]);
        let (items, next) = self.source.scan(&all, CopyScope::All, &ScanCursor::START);
        assert_eq!(next, None);
        items
    }

    /// What changed since this was asked last.
    fn dirty(&mut self) -> Vec<CopyItem> {
        let mut pages = self
            .source
            .dirty(MOVE, &[(self.partition, self.since)], CopyScope::All);
        let page = pages.remove(0).unwrap();
        assert!(!page.more);
        self.since = page.through;
        page.items
    }

    fn read(&self, item: CopyItem) -> CopyPart {
        let parts = self.source.copy(NOW, MOVE, &[item]).unwrap();
        parts.into_iter().next().unwrap().unwrap()
    }

    fn write(&mut self, part: CopyPart) -> bool {
        self.target.restore(NOW, MOVE, TOKEN, &[part]).unwrap()[0]
    }

    /// Copies items to their ends, continuing what was copied before; returns how many parts that took.
    fn copy(&mut self, items: Vec<CopyItem>) -> usize {
        let mut parts = 0;
        for mut item in items {
            item.resume = self.marks.get(&item.name).cloned();
            loop {
                let part = self.read(item.clone());
                parts += 1;
                let (complete, mark) = (part.complete, part.mark.clone());
                assert!(self.write(part));
                if let Some(mark) = &mark {
                    self.marks.insert(item.name.clone(), mark.clone());
                }
                if complete {
                    break;
                }
                item.resume = mark;
            }
        }
        parts
    }

    fn finish(mut self) -> (MemoryState, MemoryState, Partition, ChannelName) {
        let generation = MOVE;
        self.source
            .fence(self.partition, &FenceCommand::Seal { generation });
        let dirty = self.dirty();
        self.copy(dirty);
        let token = TOKEN;
        self.target
            .fence(self.partition, &FenceCommand::Open { generation, token });
        (self.source, self.target, self.partition, self.channel)
    }
}

fn content(state: &mut MemoryState, partition: Partition, channel: &ChannelName) -> (Position, Vec<u64>) {
    let read = HistoryRequest {
        channel: channel.clone(),
        range: HistoryRange::after(Offset::ZERO, None),
        meta_ttl: Duration::from_secs(100),
        new_epoch: Epoch::new("another"),
    };
    let page = state.history(NOW, partition, read).unwrap();
    let offsets = page
        .publications
        .iter()
        .map(|publication| publication.offset.get());
    (page.position, offsets.collect())
}

#[test]
fn a_moved_partition_keeps_what_it_held_and_what_changed_meanwhile() {
    let mut moving = Move::of(4);
    let entry = entry(moving.partition, &moving.channel, "a");
    moving.source.refresh_presence(NOW, &entry).unwrap();
    let items = moving.items();
    moving.copy(items);
    moving.publish(4);
    let (source, mut target, partition, channel) = moving.finish();

    assert_eq!(source.bytes(), target.bytes());
    let (position, offsets) = content(&mut target, partition, &channel);
    assert_eq!(position, Position::new(Epoch::new("e1"), Offset(5)));
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
    let again = target.publish(NOW, partition, request(&channel, 4)).unwrap();
    assert!(again.suppressed.is_some(), "the idempotency key came along");
    assert_eq!(target.presence(NOW, partition, &channel).unwrap().len(), 1);
    assert_eq!(source.sealed(&[partition]), [(partition, MOVE)]);
}

#[test]
fn a_large_stream_is_continued_and_trimmed() {
    let mut moving = Move::of(5);
    let items = moving.items();
    let parts = moving.copy(items);
    assert_eq!(parts, 3 + 1 + 5, "two and two and one, the position, five keys");
    let noted = moving.dirty();
    assert!(noted.is_empty());
    moving.publish(5);
    let changed = moving.dirty();
    assert_eq!(
        moving.copy(changed),
        3,
        "the end of the stream, the position, a key"
    );
    let (_, mut target, partition, channel) = moving.finish();
    assert_eq!(content(&mut target, partition, &channel).1, [2, 3, 4, 5, 6]);
}

#[test]
fn a_stream_of_another_epoch_starts_over() {
    let mut moving = Move::of(3);
    let items = moving.items();
    moving.copy(items);
    let later = NOW + Duration::from_secs(101);
    let anew = PublishRequest {
        new_epoch: Epoch::new("e2"),
        ..request(&moving.channel, 9)
    };
    moving.source.publish(later, moving.partition, anew).unwrap();
    let changed = moving.dirty();
    moving.copy(changed);
    let (_, mut target, partition, channel) = moving.finish();
    let (position, offsets) = content(&mut target, partition, &channel);
    assert_eq!(position, Position::new(Epoch::new("e2"), Offset(1)));
    assert_eq!(offsets, [1]);
}

#[test]
fn a_part_that_leaves_a_gap_is_refused_and_one_that_comes_twice_does_no_harm() {
    let mut moving = Move::of(4);
    let position = moving.items().swap_remove(4);
    assert_eq!(&position.name[..5], b"meta:");
    moving.copy(vec![position]);
    let name = Bytes::from(format!("stream:{}", moving.channel));
    let mut item = CopyItem {
        partition: moving.partition,
        name,
        resume: None,
    };
    let first = moving.read(item.clone());
    item.resume.clone_from(&first.mark);
    let second = moving.read(item);
    assert!(!moving.write(second.clone()));
    for part in [first, second.clone(), second] {
        assert!(moving.write(part));
    }
    let (_, mut target, partition, channel) = moving.finish();
    assert_eq!(content(&mut target, partition, &channel).1, [1, 2, 3, 4]);
}

#[test]
fn what_is_gone_is_deleted_unless_the_rule_is_away() {
    let copied = || {
        let mut moving = Move::of(2);
        let items = moving.items();
        moving.copy(items);
        let (partition, channel) = (moving.partition, moving.channel.clone());
        moving.source.remove_history(partition, &channel).unwrap();
        moving
    };
    let (_, mut target, partition, channel) = copied().finish();
    assert_eq!(content(&mut target, partition, &channel).1, [0; 0]);
    let (_, mut target, partition, channel) = without(Safeguard::DirtyDeletes, || copied().finish());
    assert_eq!(content(&mut target, partition, &channel).1, [1, 2]);
}

#[test]
fn only_the_move_reads_and_only_its_token_writes() {
    let mut moving = Move::of(1);
    let item = moving.items().remove(0);
    let part = moving.read(item.clone());
    let other = Generation(6);
    assert_eq!(
        moving
            .source
            .copy(NOW, other, std::slice::from_ref(&item))
            .unwrap(),
        [None]
    );
    assert_eq!(
        moving.source.dirty(other, &[(item.partition, 0)], CopyScope::All),
        [None]
    );
    for (generation, token) in [(other, TOKEN), (MOVE, Token(2)), (MOVE, Token(4))] {
        let parts = std::slice::from_ref(&part);
        assert_eq!(
            moving.target.restore(NOW, generation, token, parts).unwrap(),
            [false]
        );
    }
    without(Safeguard::TokenChecked, || {
        let parts = std::slice::from_ref(&part);
        assert_eq!(moving.target.restore(NOW, MOVE, Token(2), parts).unwrap(), [true]);
    });
    without(Safeguard::DumpFenced, || {
        assert!(moving.source.copy(NOW, other, &[item]).unwrap()[0].is_some());
    });
}

#[test]
fn results_alone_can_be_asked_for() {
    let mut moving = Move::of(2);
    let all = BTreeSet::from([moving.partition]);
    let scan = |moving: &Move| moving.source.scan(&all, CopyScope::Results, &ScanCursor::START).0;
    assert_eq!(scan(&moving).len(), 2);
    moving.publish(2);
    let since = [(moving.partition, 0)];
    let dirty = moving.source.dirty(MOVE, &since, CopyScope::Results);
    assert_eq!(dirty[0].as_ref().unwrap().items.len(), 1);
    without(Safeguard::ResultsMove, || assert_eq!(scan(&moving), []));
}

#[test]
fn only_what_was_closed_for_good_is_cleaned() {
    let (source, _, partition, channel) = Move::of(2).finish();
    let mut state = source;
    let bytes = state.bytes();
    state.clean(&[(partition, Generation(6))]);
    assert_eq!(state.bytes(), bytes, "closed later");
    state.clean(&[(partition, MOVE)]);
    assert_eq!(state.bytes(), 0);
    assert_eq!(
        state.records(&[partition])[0].as_ref().unwrap().state,
        OwnerState::Sealed
    );

    let (mut state, partition, _) = open_state(usize::MAX);
    state.publish(NOW, partition, request(&channel, 1)).unwrap();
    state.clean(&[(partition, Generation(9))]);
    assert!(state.bytes() > 0, "open");
    without(Safeguard::CleanFenced, || {
        state.clean(&[(partition, Generation(9))]);
    });
    assert_eq!(state.bytes(), 0);
}
