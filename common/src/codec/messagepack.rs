//! MessagePack: maps with the field names of JSON, each message preceded by its length.

use bytes::Bytes;

use super::{DecodeError, length};
use crate::message::field::{Object, object};

/// The levels of nesting that are followed, as in the JSON codec. Each costs stack.
const MAX_DEPTH: usize = 128;

/// An empty body is the empty message, as it is in Protobuf.
pub(super) fn decode<M: Object + Default>(body: &[u8]) -> Result<M, DecodeError> {
    if body.is_empty() {
        return Ok(M::default());
    }
    let mut rest = body;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let message = object(&mut deserializer).map_err(DecodeError::MessagePack)?;
    match rest.len() {
        0 => Ok(message),
        left_over => Err(DecodeError::Trailing(left_over)),
    }
}

pub(super) fn encode<M: Object>(message: &M) -> Bytes {
    length::prefixed(|body| {
        let mut serializer = rmp_serde::Serializer::new(body).with_struct_map();
        message
            .serialize(&mut serializer)
            .expect("the lengths of messages are known, and memory takes it all");
    })
}
