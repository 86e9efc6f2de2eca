//! The stored form of publications and members: a MessagePack array `[version, kind, body]`.
//!
//! Scripts treat it as opaque bytes and put position before it where it goes out through Pub/Sub. A newer release may
//! write a newer version while an older one still runs: what is not understood is skipped, never guessed at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{Epoch, Offset, Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::publication::{Publication, ShardMessage};

/// The version that this release writes, and the only one it reads.
const VERSION: u8 = 1;
/// MessagePack's mark of an array of three.
const ARRAY_OF_3: u8 = 0x93;

const PUBLICATION: u8 = 0;
const JOIN: u8 = 1;
const LEAVE: u8 = 2;
const MEMBER: u8 = 3;
const CLEARED: u8 = 4;

/// Why bytes from a shard are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    /// Another release's.
    #[error("an envelope of version {0}")]
    Version(u8),
    /// Nothing of ours.
    #[error("not an envelope")]
    Malformed,
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    data: Cow<'a, Bytes>,
    info: Option<Member<'a>>,
    tags: Cow<'a, BTreeMap<String, String>>,
    time: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Member<'a> {
    user: Cow<'a, str>,
    client: Cow<'a, str>,
    conn_info: Cow<'a, Bytes>,
    chan_info: Cow<'a, Bytes>,
}

impl<'a> From<&'a ClientInfo> for Member<'a> {
    fn from(info: &'a ClientInfo) -> Self {
        Self {
            user: Cow::Borrowed(&info.user),
            client: Cow::Borrowed(&info.client),
            conn_info: Cow::Borrowed(&info.conn_info),
            chan_info: Cow::Borrowed(&info.chan_info),
        }
    }
}

impl From<Member<'_>> for ClientInfo {
    fn from(member: Member<'_>) -> Self {
        Self {
            user: member.user.into_owned(),
            client: member.client.into_owned(),
            conn_info: member.conn_info.into_owned(),
            chan_info: member.chan_info.into_owned(),
        }
    }
}

pub(crate) fn encode_publication(publication: &Publication) -> Vec<u8> {
    let mut out = Vec::new();
    write_publication(&mut out, publication);
    out
}

/// Appends a publication's stored form to what is in memory.
pub(crate) fn write_publication(out: &mut impl Write, publication: &Publication) {
    let body = Body {
        data: Cow::Borrowed(&publication.data),
        info: publication.info.as_ref().map(Member::from),
        tags: Cow::Borrowed(&publication.tags),
        time: publication.time,
    };
    write(out, PUBLICATION, &body);
}

pub(crate) fn encode_join(info: &ClientInfo) -> Vec<u8> {
    encode(JOIN, &Member::from(info))
}

pub(crate) fn encode_leave(info: &ClientInfo) -> Vec<u8> {
    encode(LEAVE, &Member::from(info))
}

pub(crate) fn encode_cleared() -> Vec<u8> {
    encode(CLEARED, &())
}

pub(crate) fn encode_member(info: &ClientInfo) -> Vec<u8> {
    encode(MEMBER, &Member::from(info))
}

/// Reads an entry of a stream.
pub(crate) fn decode_publication(offset: Offset, bytes: &[u8]) -> Result<Publication, EnvelopeError> {
    match open(bytes)? {
        (PUBLICATION, body) => publication(offset, body),
        _ => Err(EnvelopeError::Malformed),
    }
}

/// Reads a member of a channel's presence.
pub(crate) fn decode_member(bytes: &[u8]) -> Result<ClientInfo, EnvelopeError> {
    match open(bytes)? {
        (MEMBER, body) => member(body),
        _ => Err(EnvelopeError::Malformed),
    }
}

/// Reads what came through Pub/Sub: offset, length of the epoch, epoch, envelope; offset 0 for what is in no stream.
pub(crate) fn decode_message(bytes: &[u8]) -> Result<ShardMessage, EnvelopeError> {
    let (offset, rest) = number(bytes)?;
    let (length, rest) = number(rest)?;
    let length = usize::try_from(length).map_err(|_| EnvelopeError::Malformed)?;
    let (epoch, envelope) = rest.split_at_checked(length).ok_or(EnvelopeError::Malformed)?;
    match open(envelope)? {
        (PUBLICATION, body) => {
            let publication = publication(Offset(offset), body)?;
            let epoch = std::str::from_utf8(epoch).map_err(|_| EnvelopeError::Malformed)?;
            let position = (offset > 0).then(|| Position::new(Epoch::from(epoch), Offset(offset)));
            Ok(ShardMessage::Publication {
                position,
                publication,
            })
        }
        (JOIN, body) => Ok(ShardMessage::Join(member(body)?)),
        (LEAVE, body) => Ok(ShardMessage::Leave(member(body)?)),
        (CLEARED, _) => Ok(ShardMessage::Cleared),
        _ => Err(EnvelopeError::Malformed),
    }
}

fn encode(kind: u8, body: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, kind, body);
    out
}

fn write(out: &mut impl Write, kind: u8, body: &impl Serialize) {
    rmp_serde::encode::write(out, &(VERSION, kind, body))
        .expect("strings, bytes and numbers always encode, and memory takes them");
}

/// Kind and body of an envelope.
fn open(bytes: &[u8]) -> Result<(u8, &[u8]), EnvelopeError> {
    match bytes {
        [ARRAY_OF_3, VERSION, kind, body @ ..] => Ok((*kind, body)),
        // Whatever a newer version looks like, it begins as an array of which the first is its number.
        [0x90..=0x9f, version @ 0..=0x7f, ..] if *version != VERSION => Err(EnvelopeError::Version(*version)),
        _ => Err(EnvelopeError::Malformed),
    }
}

fn publication(offset: Offset, body: &[u8]) -> Result<Publication, EnvelopeError> {
    let body: Body<'_> = rmp_serde::from_slice(body).map_err(|_| EnvelopeError::Malformed)?;
    Ok(Publication {
        offset,
        data: body.data.into_owned(),
        info: body.info.map(ClientInfo::from),
        tags: body.tags.into_owned(),
        time: body.time,
    })
}

fn member(body: &[u8]) -> Result<ClientInfo, EnvelopeError> {
    let member: Member<'_> = rmp_serde::from_slice(body).map_err(|_| EnvelopeError::Malformed)?;
    Ok(member.into())
}

/// A decimal number and what follows the space behind it.
fn number(bytes: &[u8]) -> Result<(u64, &[u8]), EnvelopeError> {
    let space = bytes
        .iter()
        .take(21)
        .position(|byte| *byte == b' ')
        .ok_or(EnvelopeError::Malformed)?;
    let digits = std::str::from_utf8(&bytes[..space]).map_err(|_| EnvelopeError::Malformed)?;
    let number = digits.parse().map_err(|_| EnvelopeError::Malformed)?;
    Ok((number, &bytes[space + 1..]))
}

#[cfg(test)]
mod tests;
