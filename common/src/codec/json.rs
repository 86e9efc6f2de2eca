//! JSON: one object a line.
//!
//! Nesting is limited where it costs stack (serde_json refuses more than 128 levels of messages); payloads
//! and unknown fields are skipped over without recursion, in one pass.

use bytes::{Buf, Bytes};

use super::{DecodeError, scratch};
use crate::message::field::{Object, object};

/// Cuts the next line that is not blank off the front of `frame`.
pub(super) fn take_line(frame: &mut Bytes) -> Option<Bytes> {
    while !frame.is_empty() {
        let end = memchr::memchr(b'\n', frame).unwrap_or(frame.len());
        let line = frame.split_to(end);
        if !frame.is_empty() {
            frame.advance(1);
        }
        if !line.trim_ascii().is_empty() {
            return Some(line);
        }
    }
    None
}

pub(super) fn decode<M: Object>(line: &[u8]) -> Result<M, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    object(&mut deserializer)
        .and_then(|message| deserializer.end().map(|()| message))
        .map_err(DecodeError::Json)
}

pub(super) fn encode<M: Object>(message: &M) -> Bytes {
    scratch::written(|line| {
        serde_json::to_writer(&mut *line, message)
            .expect("the keys of messages are text, and memory takes it all");
        line.push(b'\n');
        0
    })
}
