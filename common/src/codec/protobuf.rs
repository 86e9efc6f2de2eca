//! Protobuf: each message preceded by its length.
//!
//! prost limits nesting to 100 levels.

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::DecodeError;

/// Payloads become slices of `body`.
pub(super) fn decode<M: Message + Default>(body: Bytes) -> Result<M, DecodeError> {
    M::decode(body).map_err(DecodeError::Protobuf)
}

pub(super) fn encode<M: Message>(message: &M) -> Bytes {
    let length = message.encoded_len();
    let mut buffer = BytesMut::with_capacity(prost::length_delimiter_len(length) + length);
    message
        .encode_length_delimited(&mut buffer)
        .expect("the buffer was made for this length");
    buffer.freeze()
}
