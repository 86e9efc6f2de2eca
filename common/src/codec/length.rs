//! Messages preceded by their length, as a varint.

use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use super::{DecodeError, scratch};

/// The bytes of the longest varint.
const MAX_VARINT: usize = 10;

/// Cuts the next message off the front of `frame`, or `None` at its end. The length is compared with what
/// is there before anything is done with it.
pub(super) fn take(frame: &mut Bytes) -> Option<Result<Bytes, DecodeError>> {
    if frame.is_empty() {
        return None;
    }
    Some(take_one(frame))
}

fn take_one(frame: &mut Bytes) -> Result<Bytes, DecodeError> {
    let length = decode_varint(frame).map_err(|_| DecodeError::Length)?;
    let remaining = frame.remaining();
    match usize::try_from(length) {
        Ok(body) if body <= remaining => Ok(frame.split_to(body)),
        _ => Err(DecodeError::Truncated { length, remaining }),
    }
}

/// What `write` appends, preceded by its length. The body is written once: room for the length is left in
/// front of it, and what is not needed of that is cut off.
pub(super) fn prefixed(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    scratch::written(|buffer| {
        buffer.resize(MAX_VARINT, 0);
        write(buffer);
        let length = (buffer.len() - MAX_VARINT) as u64;
        let start = MAX_VARINT - encoded_len_varint(length);
        encode_varint(length, &mut &mut buffer[start..MAX_VARINT]);
        start
    })
}
