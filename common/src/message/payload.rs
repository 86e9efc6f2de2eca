//! The application's payloads: bytes that belong to the application and that nobody here looks into.
//!
//! - Protobuf carries them as `bytes`. Decoding takes a slice of the frame, without a copy.
//! - MessagePack carries them as `bin`. (`str` is accepted too.)
//! - JSON carries them as the JSON value that they are, embedded in the message, verbatim: neither parsed
//!   into values nor printed anew. So numbers keep their digits and objects the order of their keys. Only
//!   line breaks between tokens, which would end the message before its time, are left out. A JSON `null` is
//!   a payload like any other, its four bytes; an absent field is the empty payload.
//!
//! JSON and MessagePack copy a payload out of its frame, so that a small payload which is kept does not keep a large
//! frame with it.
//!
//! **Payloads that are not JSON** reach subscribers of the JSON codec when the publisher used a binary
//! codec. They are written as a JSON string that holds the bytes in standard base64, with padding. The
//! reader cannot tell such a string from a string that the publisher sent as JSON: applications that mix
//! codecs agree on JSON payloads, or mark what is binary, in a tag for example. What matters here is that one
//! publisher cannot break the frames of others. JSON nested deeper than [`MAX_DEPTH`] is written in the same way: parsers give up
//! on it, and an SDK that cannot read a frame gives up its connection.
//!
//! A payload is checked once per encoding, thus once per publication and codec, however many the subscribers
//! are.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// Levels of nesting that JSON clients are given. Parsers follow 64 (.NET), 100 (Ruby), 128 (`serde_json`), 512 (PHP) or about 1000
/// (Python) unless told otherwise, a few of which go to the messages around the payload.
pub const MAX_DEPTH: usize = 100;

/// Writes a payload: raw JSON where the codec is for humans (which must be `serde_json`), else bytes.
pub fn serialize<S: Serializer>(payload: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(payload);
    }
    match as_json(payload) {
        Some(json) if !has_line_break(json.get()) => json.serialize(serializer),
        Some(json) => one_line(json).serialize(serializer),
        None => serializer.serialize_str(&STANDARD.encode(payload)),
    }
}

/// Reads a payload, the counterpart of [`serialize`]. Its line breaks are kept.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    if !deserializer.is_human_readable() {
        return deserializer.deserialize_any(BytesVisitor);
    }
    let json: Box<RawValue> = Deserialize::deserialize(deserializer)?;
    Ok(Bytes::from(Box::<str>::from(json).into_boxed_bytes()))
}

/// Whether a payload is one JSON value of no more than [`MAX_DEPTH`] levels, so that JSON clients get it as it is.
#[must_use]
pub fn is_json(payload: &[u8]) -> bool {
    as_json(payload).is_some()
}

fn as_json(payload: &[u8]) -> Option<&RawValue> {
    let json: &RawValue = serde_json::from_slice(payload).ok()?;
    (!is_deep(json.get())).then_some(json)
}

/// Whether valid JSON has more than [`MAX_DEPTH`] levels.
fn is_deep(json: &str) -> bool {
    // Nearly always there is too little room or there are too few brackets for that, which shows without telling strings
    // from the rest.
    if json.len() <= 2 * MAX_DEPTH {
        return false;
    }
    let opens = |byte: u8| matches!(byte, b'[' | b'{');
    if json.bytes().filter(|byte| opens(*byte)).count() <= MAX_DEPTH {
        return false;
    }
    let mut depth: usize = 0;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b']' | b'}' => depth = depth.saturating_sub(1),
            byte if opens(byte) => depth += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Goes on behind the end of a string.
fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // What is escaped is no end.
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

fn has_line_break(json: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some()
}

/// The same JSON without line breaks. Within strings JSON has none, and no two tokens need one between them.
fn one_line(json: &RawValue) -> Box<RawValue> {
    let text = json.get().replace(['\n', '\r'], "");
    RawValue::from_string(text).expect("JSON without its line breaks is the same JSON")
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn visit_unit<E: Error>(self) -> Result<Bytes, E> {
        Ok(Bytes::new())
    }
}

#[cfg(test)]
mod tests;
