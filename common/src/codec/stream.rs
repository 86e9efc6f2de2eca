//! A stream of bytes → frames of whole messages.

use bytes::Bytes;

use super::Codec;
use crate::native::{MAX_VARINT, Overlong, take_varint};

/// What cannot be cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StreamError {
    /// A message is longer than the limit.
    #[error("the message is too long")]
    TooLong,
    /// The length of a message is not a varint of 64 bits.
    #[error("the length is malformed")]
    Length,
}

impl From<Overlong> for StreamError {
    fn from(_: Overlong) -> Self {
        Self::Length
    }
}

/// Cuts what comes on a stream into frames, each of one or more whole messages.
///
/// It goes on wherever the bytes were split, and what it returns, joined, does not depend on where that was. It holds
/// memory for a message of which a part has come, never more than the limit and the length before it, and only as much
/// as has come, whatever the client announces. Between messages it holds none.
#[derive(Debug)]
pub struct StreamDecoder {
    codec: Codec,
    /// Longest message in bytes, without line break or length.
    limit: usize,
    /// The message of which a part has come.
    partial: Vec<u8>,
}

/// Where a message that begins here ends.
enum Cut {
    /// After so many bytes.
    At(usize),
    /// Not within what is there.
    Beyond,
}

impl StreamDecoder {
    /// A decoder at the beginning of a stream. `limit` is the longest message in bytes.
    #[must_use]
    pub const fn new(codec: Codec, limit: usize) -> Self {
        Self {
            codec,
            limit,
            partial: Vec::new(),
        }
    }

    /// Takes from the front of `input`, and returns a frame as soon as it has one; what is left of `input` then comes
    /// first the next time. Once it returns nothing, it has taken everything. An error is final.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, StreamError> {
        if self.partial.is_empty() {
            self.whole(input)
        } else {
            self.complete(input)
        }
    }

    /// The same, but a frame is one message.
    pub fn next_message(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, StreamError> {
        if !self.partial.is_empty() {
            return self.complete(input);
        }
        let Cut::At(end) = self.cut(input, 0)? else {
            self.keep(input);
            return Ok(None);
        };
        let (message, rest) = input.split_at(end);
        *input = rest;
        Ok(Some(Bytes::copy_from_slice(message)))
    }

    /// The memory that it holds in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.partial.capacity()
    }

    /// All whole messages at the front of `input`; the part that follows them is kept.
    fn whole(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, StreamError> {
        let mut end = 0;
        loop {
            match self.cut(&input[end..], 0) {
                Ok(Cut::At(length)) => end += length,
                Ok(Cut::Beyond) if end == 0 => {
                    self.keep(input);
                    return Ok(None);
                }
                // Messages before a breach are still carried out; it is found again when they are.
                Ok(Cut::Beyond) => break,
                Err(_) if end > 0 => break,
                Err(error) => return Err(error),
            }
        }
        let (frame, rest) = input.split_at(end);
        *input = rest;
        Ok(Some(Bytes::copy_from_slice(frame)))
    }

    /// The message that has begun, once its end is there.
    fn complete(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, StreamError> {
        let seen = self.partial.len();
        // A length can lie across the split: its last bytes are looked at together with those before them.
        let head = &input[..input.len().min(MAX_VARINT)];
        let mut joined = [0; 2 * MAX_VARINT];
        let end = match self.codec {
            Codec::Json => self.cut(input, seen)?,
            _ if seen < MAX_VARINT => {
                joined[..seen].copy_from_slice(&self.partial);
                joined[seen..seen + head.len()].copy_from_slice(head);
                self.cut_at_length(&joined[..seen + head.len()], seen + input.len())?
            }
            _ => self.cut_at_length(&self.partial[..MAX_VARINT], seen + input.len())?,
        };
        match end {
            Cut::At(end) => {
                let (last, rest) = input.split_at(end - seen);
                self.keep_exactly(last);
                *input = rest;
                Ok(Some(Bytes::from(std::mem::take(&mut self.partial))))
            }
            Cut::Beyond => {
                self.keep(input);
                Ok(None)
            }
        }
    }

    /// Where the message ends of which `seen` bytes came before `bytes`; for varints `seen` is 0.
    fn cut(&self, bytes: &[u8], seen: usize) -> Result<Cut, StreamError> {
        if self.codec.is_binary() {
            return self.cut_at_length(&bytes[..bytes.len().min(MAX_VARINT)], bytes.len());
        }
        let searched = &bytes[..bytes.len().min((self.limit + 1).saturating_sub(seen))];
        match memchr::memchr(b'\n', searched) {
            Some(at) => Ok(Cut::At(seen + at + 1)),
            None if seen + bytes.len() > self.limit => Err(StreamError::TooLong),
            None => Ok(Cut::Beyond),
        }
    }

    /// The same for a message that begins with `head`, of which `there` bytes have come.
    fn cut_at_length(&self, head: &[u8], there: usize) -> Result<Cut, StreamError> {
        let mut body = head;
        let Some(length) = take_varint(&mut body)? else {
            return Ok(Cut::Beyond);
        };
        let prefix = head.len() - body.len();
        let length = usize::try_from(length).map_err(|_| StreamError::TooLong)?;
        if length > self.limit {
            return Err(StreamError::TooLong);
        }
        Ok(if prefix + length <= there {
            Cut::At(prefix + length)
        } else {
            Cut::Beyond
        })
    }

    /// Keeps the rest of `input`, with room for what may follow: doubled, so that time stays linear, up to the limit.
    fn keep(&mut self, input: &mut &[u8]) {
        let needed = self.partial.len() + input.len();
        if needed > self.partial.capacity() {
            let most = self.limit.saturating_add(MAX_VARINT);
            let room = (2 * self.partial.capacity()).min(most).max(needed);
            self.partial.reserve_exact(room - self.partial.len());
        }
        self.partial.extend_from_slice(std::mem::take(input));
    }

    fn keep_exactly(&mut self, last: &[u8]) {
        self.partial.reserve_exact(last.len());
        self.partial.extend_from_slice(last);
    }
}

#[cfg(test)]
mod tests;
