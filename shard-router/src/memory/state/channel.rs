//! One channel of a memory shard: its stream, position, idempotency keys and presence.

mod copy;

pub(super) use self::copy::{MetaCopy, ResultCopy};

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use campanile_common::message::ClientInfo;
use campanile_common::{Epoch, Offset, Position, Timestamp};

use super::dirty::Notes;
use super::publication_cost;
use crate::publication::Publication;
use crate::shard::{
    HistoryRange, IdempotencyKey, MAX_PRESENCE_PAGE, PresencePage, PublishRequest, StreamLimits, Version,
};
use crate::topology::Generation;

/// What a channel's position costs, roughly: the entry in the map with its name, and the channel itself.
pub(super) const META_COST: usize = 512;
/// What an idempotency key costs beside its text.
const KEY_COST: usize = 128;

#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    meta: Option<Meta>,
    stream: VecDeque<Publication>,
    /// When the stream's content expires.
    stream_due: Timestamp,
    results: HashMap<String, Remembered>,
    presence: BTreeMap<String, Present>,
    bytes: usize,
}

/// What outlives the stream's content.
#[derive(Clone, Debug)]
struct Meta {
    epoch: Epoch,
    top: Offset,
    floor: Generation,
    version: Option<Version>,
    due: Timestamp,
}

#[derive(Clone, Debug)]
struct Remembered {
    position: Option<Position>,
    due: Timestamp,
}

#[derive(Clone, Debug)]
struct Present {
    info: ClientInfo,
    due: Timestamp,
}

/// What every access to a stream brings along.
pub(super) struct Touch {
    pub(super) floor: Generation,
    pub(super) meta_ttl: Duration,
    pub(super) new_epoch: Epoch,
}

/// What one member of a channel costs to keep.
pub(super) trait MemberCost {
    fn cost(&self) -> usize;
}

impl MemberCost for ClientInfo {
    fn cost(&self) -> usize {
        self.user.len() + 2 * self.client.len() + self.conn_info.len() + self.chan_info.len() + 256
    }
}

/// What a publication adds to a channel whose position is known.
pub(super) fn publish_cost(request: &PublishRequest) -> usize {
    let stream = request
        .stream
        .map_or(0, |_| publication_cost(&request.publication));
    let key = request
        .idempotency
        .as_ref()
        .map_or(0, |key| key.key.len() + KEY_COST);
    stream + key
}

impl Channel {
    /// What the channel costs to keep.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.meta.is_none() && self.stream.is_empty() && self.results.is_empty() && self.presence.is_empty()
    }

    /// Whether there is a position that goes on under `floor`.
    #[cfg(test)]
    pub(super) fn continues(&self, floor: Generation) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.floor == floor)
    }

    pub(super) fn has_position(&self) -> bool {
        self.meta.is_some()
    }

    /// Makes sure that the stream has a valid epoch, and keeps its position for `meta_ttl` at least and never
    /// shorter than its content.
    pub(super) fn touch(&mut self, now: Timestamp, touch: Touch, notes: &mut Notes<'_>) {
        self.collect_stream(now, notes);
        notes.meta();
        let due = (now + touch.meta_ttl).max(self.stream_due);
        match &mut self.meta {
            Some(meta) => {
                if meta.floor != touch.floor {
                    meta.epoch = touch.new_epoch;
                    meta.floor = touch.floor;
                }
                meta.due = due;
            }
            None => {
                self.clear(notes);
                self.bytes += META_COST;
                let Touch {
                    floor,
                    new_epoch: epoch,
                    ..
                } = touch;
                self.meta = Some(Meta {
                    epoch,
                    top: Offset::ZERO,
                    floor,
                    version: None,
                    due,
                });
            }
        }
    }

    /// The stream's position. After [`Channel::touch`].
    pub(super) fn position(&self) -> Position {
        self.meta
            .as_ref()
            .map(|meta| Position::new(meta.epoch.clone(), meta.top))
            .unwrap_or_default()
    }

    /// Whether a version at least as new was published before. After [`Channel::touch`].
    pub(super) fn is_outdated(&self, version: &Version) -> bool {
        let stored = self.meta.as_ref().and_then(|meta| meta.version.as_ref());
        stored.is_some_and(|stored| stored.epoch == version.epoch && stored.number >= version.number)
    }

    /// Appends with the next offset, which is written into `publication`, and trims. After [`Channel::touch`].
    pub(super) fn append(
        &mut self,
        now: Timestamp,
        publication: &mut Publication,
        limits: StreamLimits,
        version: Option<Version>,
    ) -> Position {
        let meta = self.meta.as_mut().expect("every append is preceded by a touch");
        meta.top = meta.top.next();
        if version.is_some() {
            meta.version = version;
        }
        publication.offset = meta.top;
        self.stream_due = now + limits.ttl;
        meta.due = meta.due.max(self.stream_due);
        self.keep_publication(publication.clone());
        self.trim(usize::try_from(limits.size).unwrap_or(usize::MAX));
        self.position()
    }

    fn keep_publication(&mut self, publication: Publication) {
        self.bytes += publication_cost(&publication);
        self.stream.push_back(publication);
    }

    /// Drops the oldest publications until no more than `size` are left.
    fn trim(&mut self, size: usize) {
        while self.stream.len() > size {
            let trimmed = self.stream.pop_front();
            self.bytes -= trimmed.as_ref().map_or(0, publication_cost);
        }
    }

    pub(super) fn read(&self, now: Timestamp, range: HistoryRange) -> Vec<Publication> {
        if self.stream_due <= now {
            return Vec::new();
        }
        let limit = range
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if range.reverse {
            let before =
                |publication: &&Publication| range.since.is_none_or(|since| publication.offset < since);
            self.stream
                .iter()
                .rev()
                .filter(before)
                .take(limit)
                .cloned()
                .collect()
        } else {
            let after =
                |publication: &&Publication| range.since.is_none_or(|since| publication.offset > since);
            self.stream.iter().filter(after).take(limit).cloned().collect()
        }
    }

    /// Drops the stream's content.
    pub(super) fn clear(&mut self, notes: &mut Notes<'_>) {
        if !self.stream.is_empty() {
            notes.stream();
            self.trim(0);
        }
    }

    /// The result that `key` got before, unless forgotten.
    pub(super) fn remembered(&self, now: Timestamp, key: &str) -> Option<Option<Position>> {
        let result = self.results.get(key).filter(|result| result.due > now)?;
        Some(result.position.clone())
    }

    pub(super) fn remember(
        &mut self,
        now: Timestamp,
        key: IdempotencyKey,
        position: Option<Position>,
        notes: &mut Notes<'_>,
    ) {
        notes.result(&key.key);
        let due = now + key.ttl;
        self.keep_result(key.key, Remembered { position, due });
    }

    fn keep_result(&mut self, key: String, result: Remembered) {
        let cost = key.len() + KEY_COST;
        if self.results.insert(key, result).is_none() {
            self.bytes += cost;
        }
    }

    fn drop_result(&mut self, key: &str) {
        if self.results.remove(key).is_some() {
            self.bytes -= key.len() + KEY_COST;
        }
    }

    pub(super) fn enter(&mut self, due: Timestamp, info: &ClientInfo, notes: &mut Notes<'_>) {
        notes.member(&info.client);
        let info = info.clone();
        self.keep_member(Present { info, due });
    }

    fn keep_member(&mut self, present: Present) {
        self.drop_member(&present.info.client);
        self.bytes += present.info.cost();
        self.presence.insert(present.info.client.clone(), present);
    }

    pub(super) fn leave(&mut self, client: &str, notes: &mut Notes<'_>) {
        if self.drop_member(client) {
            notes.member(client);
        }
    }

    pub(super) fn drop_member(&mut self, client: &str) -> bool {
        let gone = self.presence.remove(client);
        self.bytes -= gone.as_ref().map_or(0, |gone| gone.info.cost());
        gone.is_some()
    }

    /// Who is present; those whose time is over are dropped.
    pub(super) fn present(&mut self, now: Timestamp, notes: &mut Notes<'_>) -> BTreeMap<String, ClientInfo> {
        self.drop_late(now, notes);
        self.members(usize::MAX)
    }

    /// How many are present, and at most `limit` of them; those whose time is over are dropped.
    pub(super) fn presence_page(
        &mut self,
        now: Timestamp,
        limit: usize,
        notes: &mut Notes<'_>,
    ) -> PresencePage {
        self.drop_late(now, notes);
        PresencePage {
            total: self.presence.len(),
            members: self.members(limit.min(MAX_PRESENCE_PAGE)),
        }
    }

    fn drop_late(&mut self, now: Timestamp, notes: &mut Notes<'_>) {
        let late = self.presence.iter().filter(|(_, present)| present.due <= now);
        for client in late.map(|(client, _)| client.clone()).collect::<Vec<_>>() {
            self.leave(&client, notes);
        }
    }

    fn members(&self, limit: usize) -> BTreeMap<String, ClientInfo> {
        let live = self.presence.iter().take(limit);
        live.map(|(client, present)| (client.clone(), present.info.clone()))
            .collect()
    }

    /// Frees what has expired, which is no change: a copy expires by itself.
    pub(super) fn collect(&mut self, now: Timestamp) {
        self.collect_stream(now, &mut Notes::new("", None));
        let bytes = &mut self.bytes;
        self.results.retain(|key, result| {
            let live = result.due > now;
            *bytes -= if live { 0 } else { key.len() + KEY_COST };
            live
        });
        self.presence.retain(|_, present| {
            let live = present.due > now;
            *bytes -= if live { 0 } else { present.info.cost() };
            live
        });
    }

    fn collect_stream(&mut self, now: Timestamp, notes: &mut Notes<'_>) {
        if self.stream_due <= now {
            self.trim(0);
        }
        if self.meta.as_ref().is_some_and(|meta| meta.due <= now) {
            self.drop_meta();
            self.clear(notes);
        }
    }

    fn drop_meta(&mut self) {
        if self.meta.take().is_some() {
            self.bytes -= META_COST;
        }
    }
}
