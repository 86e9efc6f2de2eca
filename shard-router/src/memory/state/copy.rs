//! Taking a partition's keys out, and putting them in elsewhere.

use std::collections::BTreeSet;

use bytes::Bytes;
use campanile_common::{ChannelName, Timestamp};
use serde::{Deserialize, Serialize};

use super::channel::{Channel, MetaCopy, ResultCopy};
use super::dirty::Dirty;
use super::{MemoryState, PartitionData};
use crate::fence::{OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};
use crate::shard::key_name::KeyName;
use crate::shard::parts::{MembersPart, StreamMark, StreamPart, decode, encode};
use crate::shard::{CopyItem, CopyPart, CopyScope, DirtyPage, ScanCursor, ShardError};
use crate::topology::{Generation, Token};

/// How many names one page of what changed has at most.
const DIRTY_PAGE: usize = 1000;

/// What a part holds.
#[derive(Serialize, Deserialize)]
enum Content {
    /// Nothing is there any more: what the copy holds is to be deleted.
    Gone,
    Stream(StreamPart),
    Meta(MetaCopy),
    Members(MembersPart),
    Result(ResultCopy),
}

/// What is read of one item at once.
struct Part {
    content: Content,
    mark: Option<Bytes>,
    complete: bool,
}

impl MemoryState {
    /// Copies streams and presence in parts of that many entries.
    #[cfg(test)]
    pub fn set_part_entries(&mut self, entries: usize) {
        self.part_entries = entries.max(1);
    }

    /// One partition's keys, and where to go on; see [`Shard::scan`](crate::shard::Shard::scan).
    #[must_use]
    pub fn scan(
        &self,
        partitions: &BTreeSet<Partition>,
        scope: CopyScope,
        cursor: &ScanCursor,
    ) -> (Vec<CopyItem>, Option<ScanCursor>) {
        let mut left = partitions.range(cursor_partition(cursor)..);
        let Some(partition) = left.next() else {
            return (Vec::new(), None);
        };
        let data = self.data.partitions.get(partition);
        let names = data.map(|data| data.names(scope)).unwrap_or_default();
        let items = names.into_iter().map(|name| item(*partition, name.into()));
        let next = left
            .next()
            .map(|partition| ScanCursor(partition.to_string().into()));
        (items.collect(), next)
    }

    /// What changed; see [`Shard::dirty`](crate::shard::Shard::dirty).
    #[must_use]
    pub fn dirty(
        &self,
        generation: Generation,
        since: &[(Partition, u64)],
        scope: CopyScope,
    ) -> Vec<Option<DirtyPage>> {
        let page = |(partition, since): &(Partition, u64)| {
            let data = self.source(*partition, generation)?;
            let mut changes = data.dirty.after(*since);
            let mut page = DirtyPage {
                through: *since,
                ..DirtyPage::default()
            };
            for (number, name) in changes.by_ref().take(DIRTY_PAGE) {
                page.through = number;
                if scope.includes(name) {
                    page.items.push(item(*partition, name.clone()));
                }
            }
            page.more = changes.next().is_some();
            Some(page)
        };
        since.iter().map(page).collect()
    }

    /// Reads items; see [`Shard::copy`](crate::shard::Shard::copy).
    pub fn copy(
        &self,
        now: Timestamp,
        generation: Generation,
        items: &[CopyItem],
    ) -> Result<Vec<Option<CopyPart>>, ShardError> {
        let part = |item: &CopyItem| {
            let Some(data) = self.source(item.partition, generation) else {
                return Ok(None);
            };
            let part = data.copy(now, item, self.part_entries)?;
            Ok(Some(CopyPart {
                partition: item.partition,
                name: item.name.clone(),
                content: encode(&part.content),
                mark: part.mark,
                complete: part.complete,
            }))
        };
        items.iter().map(part).collect()
    }

    /// Writes parts; see [`Shard::restore`](crate::shard::Shard::restore).
    pub fn restore(
        &mut self,
        now: Timestamp,
        generation: Generation,
        token: Token,
        parts: &[CopyPart],
    ) -> Result<Vec<bool>, ShardError> {
        parts
            .iter()
            .map(|part| Ok(self.fills(part.partition, generation, token) && self.write(now, part)?))
            .collect()
    }

    /// Deletes what partitions hold; see [`Shard::clean`](crate::shard::Shard::clean).
    pub fn clean(&mut self, partitions: &[(Partition, Generation)]) {
        for (partition, through) in partitions {
            let Some(data) = self.data.partitions.get_mut(partition) else {
                continue;
            };
            let closed = data.is(|owner| owner.state == OwnerState::Sealed && owner.generation <= *through);
            if closed || !holds(Safeguard::CleanFenced) {
                self.data.bytes -= data.drop_channels(usize::MAX);
                data.dirty = Dirty::default();
            }
        }
    }

    /// The partition, if it may be read for the move `generation`.
    fn source(&self, partition: Partition, generation: Generation) -> Option<&PartitionData> {
        let moving = |owner: &OwnerRecord| {
            let moves = matches!(owner.state, OwnerState::Migrating | OwnerState::Sealed);
            moves && owner.generation == generation
        };
        let data = self.data.partitions.get(&partition)?;
        (data.is(moving) || !holds(Safeguard::DumpFenced)).then_some(data)
    }

    /// Whether the holder of `token` may fill the partition.
    pub(super) fn fills(&self, partition: Partition, generation: Generation, token: Token) -> bool {
        let importing = |owner: &OwnerRecord| {
            let fills = owner.state == OwnerState::Importing && owner.generation == generation;
            (fills || !holds(Safeguard::ImportRequired))
                && (owner.token == token || !holds(Safeguard::TokenChecked))
        };
        match self
            .data
            .partitions
            .get(&partition)
            .and_then(|data| data.owner.as_ref())
        {
            Some(owner) => importing(owner),
            None => !holds(Safeguard::ImportRequired),
        }
    }

    fn write(&mut self, now: Timestamp, part: &CopyPart) -> Result<bool, ShardError> {
        let content: Content = decode(&part.content)?;
        if !matches!(content, Content::Gone) {
            self.fits(part.content.len())?;
        }
        let name = KeyName::parse(&part.name).ok_or_else(unknown_name)?;
        let channel = ChannelName::from_trusted(name.channel());
        self.with_channel(part.partition, &channel, |channel, _| {
            write(now, channel, name, content)
        })
    }
}

impl PartitionData {
    /// What there is to copy.
    fn names(&self, scope: CopyScope) -> Vec<String> {
        let mut names = Vec::new();
        for (name, channel) in &self.channels {
            let keys = [
                (KeyName::Meta(name), channel.has_position()),
                (KeyName::Stream(name), channel.has_stream()),
                (KeyName::Presence(name), channel.has_presence()),
            ];
            let there = keys.iter().filter(|(_, there)| *there);
            names.extend(there.map(|(name, _)| name.to_string()));
            let result = |key| KeyName::Result { channel: name, key }.to_string();
            names.extend(channel.result_keys().map(result));
        }
        names.retain(|name| scope.includes(name.as_bytes()));
        names.sort_unstable();
        names
    }

    fn copy(&self, now: Timestamp, item: &CopyItem, entries: usize) -> Result<Part, ShardError> {
        let name = KeyName::parse(&item.name).ok_or_else(unknown_name)?;
        let Some(channel) = self.channels.get(name.channel()) else {
            return Ok(Part::gone());
        };
        let part = match name {
            KeyName::Stream(_) => {
                let mark: Option<StreamMark> = item.resume.as_deref().map(decode).transpose()?;
                let copied = channel.copy_stream(now, mark, entries);
                copied.map(|(part, mark)| Part {
                    complete: part.end.is_some(),
                    content: Content::Stream(part),
                    mark: Some(encode(&mark)),
                })
            }
            KeyName::Presence(_) => {
                let mark: Option<String> = item.resume.as_deref().map(decode).transpose()?;
                let copied = channel.copy_presence(now, mark.as_deref(), entries);
                copied.map(|(part, mark)| Part {
                    content: Content::Members(part),
                    complete: mark.is_none(),
                    mark: mark.as_ref().map(encode),
                })
            }
            KeyName::Meta(_) => channel.copy_meta(now).map(Content::Meta).map(Part::whole),
            KeyName::Member { client, .. } => channel
                .copy_member(now, client)
                .map(Content::Members)
                .map(Part::whole),
            KeyName::Result { key, .. } => channel
                .copy_result(now, key)
                .map(Content::Result)
                .map(Part::whole),
        };
        Ok(part.unwrap_or_else(Part::gone))
    }

    /// Deletes that many channels; returns how many bytes that were.
    pub(super) fn drop_channels(&mut self, count: usize) -> usize {
        let mut names: Vec<_> = self.channels.keys().cloned().collect();
        names.sort_unstable();
        let dropped = names
            .iter()
            .take(count)
            .filter_map(|name| self.channels.remove(name));
        dropped.map(|channel| channel.bytes()).sum()
    }
}

impl Part {
    fn whole(content: Content) -> Self {
        Self {
            content,
            mark: None,
            complete: true,
        }
    }

    fn gone() -> Self {
        Self::whole(Content::Gone)
    }
}

fn write(
    now: Timestamp,
    channel: &mut Channel,
    name: KeyName<'_>,
    content: Content,
) -> Result<bool, ShardError> {
    match (name, content) {
        (_, Content::Gone) if !holds(Safeguard::DirtyDeletes) => {}
        (KeyName::Stream(_), Content::Stream(part)) => return channel.restore_stream(now, part),
        (KeyName::Stream(_), Content::Gone) => channel.drop_stream(),
        (KeyName::Meta(_), Content::Meta(copy)) => channel.restore_meta(Some(copy)),
        (KeyName::Meta(_), Content::Gone) => channel.restore_meta(None),
        (KeyName::Presence(_) | KeyName::Member { .. }, Content::Members(part)) => {
            channel.restore_members(part)?;
        }
        (KeyName::Presence(_), Content::Gone) => channel.drop_presence(),
        (KeyName::Member { client, .. }, Content::Gone) => {
            channel.drop_member(client);
        }
        (KeyName::Result { key, .. }, Content::Result(copy)) => channel.restore_result(key, Some(copy)),
        (KeyName::Result { key, .. }, Content::Gone) => channel.restore_result(key, None),
        _ => return Err(unknown_name()),
    }
    Ok(true)
}

fn item(partition: Partition, name: Bytes) -> CopyItem {
    CopyItem {
        partition,
        name,
        resume: None,
    }
}

/// Where a walk goes on.
fn cursor_partition(cursor: &ScanCursor) -> Partition {
    let number = std::str::from_utf8(&cursor.0)
        .ok()
        .and_then(|number| number.parse().ok());
    let known = number.and_then(Partition::from_index);
    known.unwrap_or_else(|| Partition::all().next().expect("there are 4096 partitions"))
}

fn unknown_name() -> ShardError {
    ShardError::Malformed("the name of something to copy".to_owned())
}
