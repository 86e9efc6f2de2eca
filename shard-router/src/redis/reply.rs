//! What the server's answers mean.

use std::collections::BTreeMap;

use ::redis::{RedisError, ServerError, Value};
use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{Epoch, Offset, Position};
use metrics::Counter;

use crate::fence::{FenceReply, OwnerRecord, OwnerState};
use crate::publication::Publication;
use crate::shard::envelope::{self, EnvelopeError};
use crate::shard::{HistoryPage, PresencePage, PublishOutcome, ShardError, Suppressed};
use crate::topology::{Generation, Token};

/// The answer to a data script: its array. Nothing at all means that the partition is not served.
fn answer(value: Value) -> Result<Vec<Value>, ShardError> {
    match value {
        Value::Nil => Err(ShardError::NotOwner),
        Value::Array(values) => Ok(values),
        Value::ServerError(error) => Err(server_error(&error)),
        other => Err(malformed(&other)),
    }
}

/// What an error that the server answered means for the one who asked.
pub(super) fn server_error(error: &ServerError) -> ShardError {
    let words = match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    };
    match error.code() {
        // Refused before the script's first write, or before the script.
        "OOM" | "MISCONF" | "NOPERM" | "NOAUTH" => ShardError::Refused(words),
        // Not started, and another attempt may meet another state: the server is busy with something else, or about to be replaced.
        "LOADING" | "BUSY" | "MASTERDOWN" | "NOSCRIPT" | "READONLY" | "NOREPLICAS" => {
            ShardError::Unavailable(words)
        }
        _ => ShardError::Malformed(words),
    }
}

/// Whether the script has to be loaded (again).
pub(super) fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// Whether the server says that it is a replica: it may come back as a primary with other data, so the connection must
/// not outlive this.
pub(super) fn is_from_replica(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "READONLY")
}

/// Whether the user lacks a permission: what else is missing shows when the connection is made anew.
pub(super) fn is_denied(value: &Value) -> bool {
    let Value::ServerError(error) = value else {
        return false;
    };
    let of_script = |details: &str| details.contains("The user executing the script");
    error.code() == "NOPERM" || error.details().is_some_and(of_script)
}

/// Whether the server is full.
pub(super) fn is_full(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "OOM")
}

/// What went wrong with a connection, in words that hold no secrets: the library's errors never repeat the URL.
pub(super) fn words(error: &RedisError) -> String {
    error.to_string()
}

/// A script that answers nothing but that it did its work.
pub(super) fn done(value: Value) -> Result<(), ShardError> {
    answer(value).map(drop)
}

/// Whether a script did its work: it answers 0 where it was not allowed to.
pub(super) fn was_done(value: Value) -> Result<bool, ShardError> {
    let [done] = fixed(answer(value)?)?;
    Ok(integer(&done)? == 1)
}

/// What changed, and the number of the change.
pub(super) type Change = (Bytes, u64);

/// Names and the numbers of their last changes; `None` where the partition is not to be copied.
pub(super) fn changes(value: Value) -> Result<Option<Vec<Change>>, ShardError> {
    let Some(mut fields) = fields(value)? else {
        return Ok(None);
    };
    let mut changes = Vec::new();
    while let (Some(name), Some(number)) = (fields.next(), fields.next()) {
        let number = unsigned(&Value::BulkString(number.into()))?;
        changes.push((name, number));
    }
    Ok(Some(changes))
}

/// The strings that a script answered; `None` where the partition is not to be copied.
pub(super) fn fields(value: Value) -> Result<Option<impl Iterator<Item = Bytes> + use<>>, ShardError> {
    match value {
        Value::Nil => Ok(None),
        Value::Array(_) => flat(value).map(Vec::into_iter).map(Some),
        Value::ServerError(error) => Err(server_error(&error)),
        other => Err(malformed(&other)),
    }
}

pub(super) fn published(value: Value) -> Result<PublishOutcome, ShardError> {
    let [status, offset, epoch] = fixed(answer(value)?)?;
    let suppressed = match integer(&status)? {
        0 => None,
        1 => Some(Suppressed::Repeated),
        2 => Some(Suppressed::Outdated),
        _ => return Err(malformed(&status)),
    };
    let position = position(&offset, epoch)?;
    // A result remembered from a time when the channel had no stream has no position either.
    let has_position = position.offset > Offset::ZERO;
    Ok(PublishOutcome {
        position: has_position.then_some(position),
        suppressed,
    })
}

pub(super) fn read_position(value: Value) -> Result<Position, ShardError> {
    let [offset, epoch] = fixed(answer(value)?)?;
    position(&offset, epoch)
}

/// A page of history; envelopes that are not understood are skipped and counted.
pub(super) fn history(value: Value, skipped: &Counter) -> Result<HistoryPage, ShardError> {
    let [offset, epoch, entries] = fixed(answer(value)?)?;
    let position = position(&offset, epoch)?;
    let Value::Array(entries) = entries else {
        return Err(malformed(&entries));
    };
    let mut publications = Vec::with_capacity(entries.len());
    for entry in entries {
        publications.extend(stream_entry(entry, skipped)?);
    }
    Ok(HistoryPage {
        position,
        publications,
    })
}

/// `[id, [field, envelope]]`.
fn stream_entry(entry: Value, skipped: &Counter) -> Result<Option<Publication>, ShardError> {
    let Value::Array(entry) = entry else {
        return Err(malformed(&entry));
    };
    let [id, fields] = fixed(entry)?;
    let offset = text(id)?
        .split('-')
        .next()
        .and_then(|offset| offset.parse().ok())
        .map(Offset);
    let Some(offset) = offset else {
        return Err(ShardError::Malformed("a stream's entry without an offset".into()));
    };
    let Value::Array(fields) = fields else {
        return Err(malformed(&fields));
    };
    let [_, envelope] = fixed(fields)?;
    Ok(understood(
        envelope::decode_publication(offset, bytes(&envelope)?),
        skipped,
    ))
}

/// Client and envelope in turn.
pub(super) fn presence(value: Value, skipped: &Counter) -> Result<BTreeMap<String, ClientInfo>, ShardError> {
    members(answer(value)?.into_iter(), skipped)
}

/// How many there are, then client and envelope of some in turn.
pub(super) fn presence_page(value: Value, skipped: &Counter) -> Result<PresencePage, ShardError> {
    let mut values = answer(value)?.into_iter();
    let total = values.next().unwrap_or(Value::Nil);
    Ok(PresencePage {
        total: usize::try_from(integer(&total)?).map_err(|_| malformed(&total))?,
        members: members(values, skipped)?,
    })
}

fn members(
    mut fields: impl Iterator<Item = Value>,
    skipped: &Counter,
) -> Result<BTreeMap<String, ClientInfo>, ShardError> {
    let mut members = BTreeMap::new();
    while let (Some(client), Some(envelope)) = (fields.next(), fields.next()) {
        if let Some(info) = understood(envelope::decode_member(bytes(&envelope)?), skipped) {
            members.insert(text(client)?, info);
        }
    }
    Ok(members)
}

pub(super) fn fence(value: Value) -> Result<FenceReply, ShardError> {
    let mut values = answer(value)?;
    let status = if values.is_empty() {
        Value::Nil
    } else {
        values.remove(0)
    };
    match (integer(&status)?, values.is_empty()) {
        (1, _) => Ok(FenceReply::Done),
        (_, true) => Ok(FenceReply::Refused(None)),
        (_, false) => Ok(FenceReply::Refused(owner_record(Value::Array(values))?)),
    }
}

/// Generation, state, token and floor; `None` where there is no record.
pub(super) fn owner_record(value: Value) -> Result<Option<OwnerRecord>, ShardError> {
    let [generation, state, token, floor] = fixed(answer(value)?)?;
    if generation == Value::Nil {
        return Ok(None);
    }
    let state = match text(state)?.as_str() {
        "open" => OwnerState::Open,
        "migrating" => OwnerState::Migrating,
        "sealed" => OwnerState::Sealed,
        "importing" => OwnerState::Importing,
        other => {
            return Err(ShardError::Malformed(format!(
                "an owner record in the state {other:?}"
            )));
        }
    };
    Ok(Some(OwnerRecord {
        generation: Generation(unsigned(&generation)?),
        state,
        token: Token(unsigned(&token)?),
        floor: Generation(unsigned(&floor)?),
    }))
}

fn understood<T>(decoded: Result<T, EnvelopeError>, skipped: &Counter) -> Option<T> {
    decoded
        .inspect_err(|error| {
            skipped.increment(1);
            tracing::debug!(%error, "envelope skipped");
        })
        .ok()
}

fn position(offset: &Value, epoch: Value) -> Result<Position, ShardError> {
    Ok(Position::new(
        Epoch::from(text(epoch)?),
        Offset(unsigned(offset)?),
    ))
}

fn fixed<const N: usize>(values: Vec<Value>) -> Result<[Value; N], ShardError> {
    let count = values.len();
    values
        .try_into()
        .map_err(|_| ShardError::Malformed(format!("{count} values where {N} belong")))
}

fn integer(value: &Value) -> Result<i64, ShardError> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(malformed(other)),
    }
}

/// A number that comes as such, or as its digits from a hash.
fn unsigned(value: &Value) -> Result<u64, ShardError> {
    let number = match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(digits) => std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| malformed(value))
}

/// All strings of an array.
fn flat(value: Value) -> Result<Vec<Bytes>, ShardError> {
    let Value::Array(values) = value else {
        return Err(malformed(&value));
    };
    let string = |value| match value {
        Value::BulkString(bytes) => Ok(Bytes::from(bytes)),
        other => Err(malformed(&other)),
    };
    values.into_iter().map(string).collect()
}

fn bytes(value: &Value) -> Result<&[u8], ShardError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(malformed(other)),
    }
}

fn text(value: Value) -> Result<String, ShardError> {
    match value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map_err(|_| ShardError::Malformed("bytes where text belongs".into()))
        }
        Value::SimpleString(text) => Ok(text),
        other => Err(malformed(&other)),
    }
}

/// Names the kind of an answer, never its content, which is somebody's data.
fn malformed(value: &Value) -> ShardError {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a string",
        Value::Array(_) => "an array",
        Value::ServerError(error) => return server_error(error),
        _ => "something",
    };
    ShardError::Malformed(format!("{kind} where something else belongs"))
}
