//! A channel's keys on their way to another server, and from one.

use campanile_common::{Epoch, Offset, Position, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Channel, META_COST, Meta, Present, Remembered};
use crate::publication::Publication;
use crate::shard::envelope;
use crate::shard::parts::{MemberCopy, MembersPart, StreamEnd, StreamMark, StreamPart};
use crate::shard::{ShardError, Version};
use crate::topology::Generation;

/// A channel's position.
#[derive(Serialize, Deserialize)]
pub(in crate::memory::state) struct MetaCopy {
    epoch: Epoch,
    top: Offset,
    floor: Generation,
    version: Option<(u64, String)>,
    due: Timestamp,
}

/// The result of a publication made under an idempotency key.
#[derive(Serialize, Deserialize)]
pub(in crate::memory::state) struct ResultCopy {
    position: Option<Position>,
    due: Timestamp,
}

impl Channel {
    /// The idempotency keys that are remembered.
    pub(in crate::memory::state) fn result_keys(&self) -> impl Iterator<Item = &str> {
        self.results.keys().map(String::as_str)
    }

    pub(in crate::memory::state) fn has_stream(&self) -> bool {
        !self.stream.is_empty()
    }

    pub(in crate::memory::state) fn has_presence(&self) -> bool {
        !self.presence.is_empty()
    }

    /// The stream from where `mark` says that a copy ends, `limit` entries at most; `None`: there is none.
    pub(in crate::memory::state) fn copy_stream(
        &self,
        now: Timestamp,
        mark: Option<StreamMark>,
        limit: usize,
    ) -> Option<(StreamPart, StreamMark)> {
        let first = self.stream.front().filter(|_| self.stream_due > now)?.offset;
        let epoch = self
            .meta
            .as_ref()
            .map(|meta| meta.epoch.clone())
            .unwrap_or_default();
        let after = mark
            .filter(|mark| mark.continues(now, &epoch, first))
            .map(|mark| mark.last);
        let mut left = self
            .stream
            .iter()
            .filter(|publication| after.is_none_or(|after| publication.offset > after));
        let entry = |publication: &Publication| {
            let envelope = envelope::encode_publication(publication);
            (publication.offset, envelope.into())
        };
        let entries: Vec<_> = left.by_ref().take(limit).map(entry).collect();
        let end = left.next().is_none().then(|| StreamEnd {
            length: u64::try_from(self.stream.len()).unwrap_or(u64::MAX),
            due: Some(self.stream_due),
        });
        let mark = StreamMark {
            epoch,
            last: entries
                .last()
                .map(|(offset, _)| *offset)
                .or(after)
                .unwrap_or_default(),
            due: end.and_then(|end| end.due),
        };
        Some((StreamPart { after, entries, end }, mark))
    }

    /// Appends some of a stream. False: what is here is not what it continues.
    pub(in crate::memory::state) fn restore_stream(
        &mut self,
        now: Timestamp,
        part: StreamPart,
    ) -> Result<bool, ShardError> {
        if self.stream_due <= now || part.after.is_none() {
            self.trim(0);
        }
        let mut last = self
            .stream
            .back()
            .map(|publication| publication.offset)
            .unwrap_or_default();
        if part.after.is_some_and(|after| last < after) {
            return Ok(false);
        }
        for (offset, envelope) in part.entries {
            // An earlier attempt may have written some of them.
            if offset > last {
                let publication = envelope::decode_publication(offset, &envelope).map_err(not_understood)?;
                self.keep_publication(publication);
                last = offset;
            }
        }
        // A copy that is not complete does not expire: its continuation would leave a gap.
        self.stream_due = Timestamp::from_millis(u64::MAX);
        if let Some(end) = part.end {
            self.trim(usize::try_from(end.length).unwrap_or(usize::MAX));
            self.stream_due = end.due.unwrap_or(self.stream_due);
        }
        Ok(true)
    }

    /// Drops the stream, which is gone where it came from.
    pub(in crate::memory::state) fn drop_stream(&mut self) {
        self.trim(0);
    }

    pub(in crate::memory::state) fn copy_meta(&self, now: Timestamp) -> Option<MetaCopy> {
        let meta = self.meta.as_ref().filter(|meta| meta.due > now)?;
        let version = meta.version.as_ref();
        Some(MetaCopy {
            epoch: meta.epoch.clone(),
            top: meta.top,
            floor: meta.floor,
            version: version.map(|version| (version.number, version.epoch.clone())),
            due: meta.due,
        })
    }

    pub(in crate::memory::state) fn restore_meta(&mut self, copy: Option<MetaCopy>) {
        self.drop_meta();
        self.meta = copy.map(|copy| Meta {
            epoch: copy.epoch,
            top: copy.top,
            floor: copy.floor,
            version: copy.version.map(|(number, epoch)| Version { number, epoch }),
            due: copy.due,
        });
        self.bytes += self.meta.as_ref().map_or(0, |_| META_COST);
    }

    pub(in crate::memory::state) fn copy_result(&self, now: Timestamp, key: &str) -> Option<ResultCopy> {
        let result = self.results.get(key).filter(|result| result.due > now)?;
        Some(ResultCopy {
            position: result.position.clone(),
            due: result.due,
        })
    }

    pub(in crate::memory::state) fn restore_result(&mut self, key: &str, copy: Option<ResultCopy>) {
        match copy {
            Some(ResultCopy { position, due }) => {
                self.keep_result(key.to_owned(), Remembered { position, due });
            }
            None => self.drop_result(key),
        }
    }

    /// Those present who come after `mark`, by client, `limit` at most; `None`: nobody is present at all. With the
    /// mark of the next part, if there is one.
    pub(in crate::memory::state) fn copy_presence(
        &self,
        now: Timestamp,
        mark: Option<&str>,
        limit: usize,
    ) -> Option<(MembersPart, Option<String>)> {
        let live = || self.presence.iter().filter(|(_, present)| present.due > now);
        live().next()?;
        let mut left = live().filter(|(client, _)| mark.is_none_or(|mark| client.as_str() > mark));
        let members: Vec<_> = left
            .by_ref()
            .take(limit)
            .map(|(_, present)| copy_of(present))
            .collect();
        let more = left.next().is_some();
        let mark_of_next = members
            .last()
            .filter(|_| more)
            .map(|member| member.client.clone());
        let part = MembersPart {
            anew: mark.is_none(),
            members,
            due: None,
        };
        Some((part, mark_of_next))
    }

    pub(in crate::memory::state) fn copy_member(&self, now: Timestamp, client: &str) -> Option<MembersPart> {
        let present = self.presence.get(client).filter(|present| present.due > now)?;
        Some(MembersPart {
            anew: false,
            members: vec![copy_of(present)],
            due: None,
        })
    }

    pub(in crate::memory::state) fn restore_members(&mut self, part: MembersPart) -> Result<(), ShardError> {
        if part.anew {
            self.drop_presence();
        }
        for member in part.members {
            let info = envelope::decode_member(&member.envelope).map_err(not_understood)?;
            self.keep_member(Present {
                info,
                due: member.due,
            });
        }
        Ok(())
    }

    pub(in crate::memory::state) fn drop_presence(&mut self) {
        for client in self.presence.keys().cloned().collect::<Vec<_>>() {
            self.drop_member(&client);
        }
    }
}

fn copy_of(present: &Present) -> MemberCopy {
    MemberCopy {
        client: present.info.client.clone(),
        envelope: envelope::encode_member(&present.info).into(),
        due: present.due,
    }
}

fn not_understood(error: envelope::EnvelopeError) -> ShardError {
    ShardError::Malformed(error.to_string())
}
