//! Parts of a copy: what the scripts answer and are given, as the bytes that travel between two shards.

use ::redis::{Cmd, Value};
use bytes::Bytes;
use campanile_common::{Epoch, Offset, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::{reply, scripts};
use crate::partition::Partition;
use crate::shard::key_name::KeyName;
use crate::shard::parts::{
    EXPIRY_MARGIN, MemberCopy, MembersPart, StreamEnd, StreamMark, StreamPart, decode, encode,
};
use crate::shard::{CopyItem, CopyPart, ShardError};
use crate::topology::{Generation, Token};

/// What a part holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    /// Nothing is there any more: what the copy holds is to be deleted.
    Gone,
    /// One key, or two that belong together, as the server stores them.
    Dump {
        /// In the order of [`Keys::of_name`].
        dumps: Vec<Bytes>,
        /// When they expire, if ever.
        due: Option<Timestamp>,
    },
    /// Some of a large stream.
    Stream(StreamPart),
    /// Some of a large presence, or one member of any.
    Members(MembersPart),
}

/// An item, understood.
pub(super) struct Wanted<'a> {
    pub(super) partition: Partition,
    pub(super) name: KeyName<'a>,
    pub(super) resume: Resume,
}

/// Where an earlier part ended.
pub(super) enum Resume {
    Start,
    Stream(StreamMark),
    /// The cursor of a walk over members.
    Presence(Bytes),
}

impl<'a> Wanted<'a> {
    pub(super) fn read(item: &'a CopyItem) -> Result<Self, ShardError> {
        let name = KeyName::parse(&item.name).ok_or_else(unknown_name)?;
        let resume = match (&item.resume, name) {
            (Some(mark), KeyName::Stream(_)) => Resume::Stream(decode(mark)?),
            (Some(mark), KeyName::Presence(_)) => Resume::Presence(mark.clone()),
            _ => Resume::Start,
        };
        Ok(Self {
            partition: item.partition,
            name,
            resume,
        })
    }

    /// The kind of the item, and three words, as the script takes them.
    pub(super) fn words(&self) -> [Bytes; 4] {
        let word = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        match (self.name, &self.resume) {
            (KeyName::Stream(_), Resume::Stream(mark)) => {
                let expires = mark.due.map(|due| (due - EXPIRY_MARGIN).as_millis().to_string());
                [
                    word("stream"),
                    mark.last.get().to_string().into(),
                    word(mark.epoch.as_str()),
                    expires.unwrap_or_default().into(),
                ]
            }
            (KeyName::Stream(_), _) => [word("stream"), word(""), word(""), word("")],
            (KeyName::Presence(_), Resume::Presence(cursor)) => {
                [word("presence"), cursor.clone(), word(""), word("")]
            }
            (KeyName::Presence(_), _) => [word("presence"), word("0"), word(""), word("")],
            (KeyName::Member { client, .. }, _) => [word("member"), word(client), word(""), word("")],
            (KeyName::Meta(_) | KeyName::Result { .. }, _) => [word("key"), word(""), word(""), word("")],
        }
    }
}

/// What the script answered for an item; `None`: its partition is not to be copied.
pub(super) fn copied(wanted: &Wanted<'_>, answer: Value) -> Result<Option<CopyPart>, ShardError> {
    let Some(mut values) = reply::fields(answer)? else {
        return Ok(None);
    };
    let mut next = || values.next().unwrap_or_default();
    let (content, mark, complete) = match &next()[..] {
        b"gone" => (Content::Gone, None, true),
        b"dump" => {
            let due = time(&next())?;
            let dumps = values.filter(|dump| !dump.is_empty()).collect();
            (Content::Dump { dumps, due }, None, true)
        }
        b"stream" => {
            let (after, epoch, length) = (number(&next())?, next(), number(&next())?);
            let due = time(&next())?;
            let (part, mark) = stream(after, &epoch, length, due, values)?;
            let complete = part.end.is_some();
            (Content::Stream(part), Some(encode(&mark)), complete)
        }
        b"members" => {
            let (cursor, due) = (next(), time(&next())?);
            let anew = matches!(
                (wanted.name, &wanted.resume),
                (KeyName::Presence(_), Resume::Start)
            );
            let members = members(values)?;
            let part = MembersPart { anew, members, due };
            let more = &cursor[..] != b"0";
            (Content::Members(part), more.then_some(cursor), !more)
        }
        _ => return Err(malformed()),
    };
    Ok(Some(CopyPart {
        partition: wanted.partition,
        name: wanted.name.to_string().into(),
        content: encode(&content),
        mark,
        complete,
    }))
}

fn stream(
    after: Option<u64>,
    epoch: &[u8],
    length: Option<u64>,
    due: Option<Timestamp>,
    mut values: impl Iterator<Item = Bytes>,
) -> Result<(StreamPart, StreamMark), ShardError> {
    let mut entries = Vec::new();
    while let (Some(offset), Some(envelope)) = (values.next(), values.next()) {
        let offset = number(&offset)?.ok_or_else(malformed)?;
        entries.push((Offset(offset), envelope));
    }
    let after = after.map(Offset);
    let last = entries.last().map(|(offset, _)| *offset).or(after);
    let end = length.map(|length| StreamEnd { length, due });
    let mark = StreamMark {
        epoch: Epoch::from(text(epoch)?),
        last: last.unwrap_or_default(),
        due: end.and_then(|end| end.due),
    };
    Ok((StreamPart { after, entries, end }, mark))
}

fn members(mut values: impl Iterator<Item = Bytes>) -> Result<Vec<MemberCopy>, ShardError> {
    let mut members = Vec::new();
    while let (Some(client), Some(envelope), Some(due)) = (values.next(), values.next(), values.next()) {
        members.push(MemberCopy {
            client: text(&client)?.to_owned(),
            envelope,
            due: time(&due)?.unwrap_or_default(),
        });
    }
    Ok(members)
}

/// The command that writes a part.
pub(super) fn restore(
    keys: &Keys,
    generation: Generation,
    token: Token,
    part: &CopyPart,
) -> Result<Cmd, ShardError> {
    let name = KeyName::parse(&part.name).ok_or_else(unknown_name)?;
    let target = scripts::Target {
        keys,
        partition: part.partition,
        generation,
        token,
    };
    Ok(match (decode(&part.content)?, name) {
        (Content::Gone, KeyName::Member { client, .. }) => target.drop_member(name, client),
        (Content::Gone, _) => target.delete(name),
        (Content::Dump { dumps, due }, _) => target.restore(name, &dumps, due),
        (Content::Stream(part), KeyName::Stream(_)) => target.restore_stream(name, &part),
        (Content::Members(part), KeyName::Presence(_) | KeyName::Member { .. }) => {
            target.restore_members(name, &part)
        }
        _ => return Err(unknown_name()),
    })
}

fn text(bytes: &[u8]) -> Result<&str, ShardError> {
    std::str::from_utf8(bytes).map_err(|_| malformed())
}

/// A number, or nothing.
fn number(bytes: &[u8]) -> Result<Option<u64>, ShardError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    text(bytes)?.parse().map(Some).map_err(|_| malformed())
}

fn time(bytes: &[u8]) -> Result<Option<Timestamp>, ShardError> {
    Ok(number(bytes)?.map(Timestamp::from_millis))
}

fn malformed() -> ShardError {
    ShardError::Malformed("the answer to a copy".to_owned())
}

fn unknown_name() -> ShardError {
    ShardError::Malformed("the name of something to copy".to_owned())
}
