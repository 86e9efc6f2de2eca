//! From bytes to messages, without I/O.
//!
//! The decoder is fed whatever pieces the network delivers and yields one [`Event`] at a time. Between messages
//! it holds no memory of its own; within one it holds what has arrived of it, never what a length merely claims.

use bytes::Bytes;

use super::frame::{self, MAX_CONTROL_PAYLOAD, Opcode};
use super::violation::Violation;

/// What a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole message, of text or binary alike.
    Message(Bytes),
    /// A ping, whose payload the pong repeats.
    Ping(Bytes),
    /// The connection is to be closed, with this code if there is one.
    Close(Option<u16>),
}

/// The state between two pieces of input.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The message that is being received, over all its frames so far.
    message: Option<Message>,
    /// The payload of the control frame that is being received.
    control: Vec<u8>,
    /// Bytes of a message at most.
    limit: usize,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; MAX_HEADER], filled: u8 },
    Payload(Frame),
}

/// The longest header of a client's frame: two bytes, a length of 64 bits, the mask.
const MAX_HEADER: usize = 14;

impl State {
    const START: Self = Self::Header {
        bytes: [0; MAX_HEADER],
        filled: 0,
    };
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    last: bool,
    /// Bytes of the payload that are still to come.
    remaining: usize,
    /// The mask, rotated so that it begins with the byte for the next of the payload.
    mask: [u8; 4],
}

#[derive(Debug)]
struct Message {
    text: bool,
    bytes: Vec<u8>,
}

impl Decoder {
    /// A decoder of messages of `limit` bytes at most.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            state: State::START,
            message: None,
            control: Vec::new(),
            limit,
        }
    }

    /// Takes bytes off the front of `input` until something is complete; `None` once all are taken.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            let frame = match &mut self.state {
                State::Payload(frame) => frame,
                State::Header { bytes, filled } => {
                    let Some(frame) = take_header(bytes, filled, input)? else {
                        return Ok(None);
                    };
                    self.begin(frame)?;
                    continue;
                }
            };
            let payload = if frame.opcode.is_control() {
                &mut self.control
            } else {
                &mut self
                    .message
                    .as_mut()
                    .expect("a data frame has begun a message")
                    .bytes
            };
            take_payload(frame, payload, input);
            if frame.remaining > 0 {
                return Ok(None);
            }
            let (opcode, last) = (frame.opcode, frame.last);
            self.state = State::START;
            if let Some(event) = self.end(opcode, last)? {
                return Ok(Some(event));
            }
        }
    }

    /// Whether nothing of a frame or message is held.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let between = matches!(self.state, State::Header { filled: 0, .. });
        between && self.message.is_none() && self.control.capacity() == 0
    }

    /// Checks a frame against what came before it, and makes room for its payload.
    fn begin(&mut self, frame: Frame) -> Result<(), Violation> {
        match (frame.opcode, &self.message) {
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::Fragments);
            }
            (Opcode::Text | Opcode::Binary, None) => {
                self.message = Some(Message {
                    text: frame.opcode == Opcode::Text,
                    bytes: Vec::new(),
                });
            }
            _ => {}
        }
        if !frame.opcode.is_control() {
            let so_far = self.message.as_ref().map_or(0, |message| message.bytes.len());
            if frame.remaining > self.limit.saturating_sub(so_far) {
                return Err(Violation::TooLong);
            }
        }
        self.state = State::Payload(frame);
        Ok(())
    }

    /// What the end of a frame completes.
    fn end(&mut self, opcode: Opcode, last: bool) -> Result<Option<Event>, Violation> {
        match opcode {
            Opcode::Close => frame::parse_close(&std::mem::take(&mut self.control)).map(Event::Close),
            Opcode::Ping => Ok(Event::Ping(std::mem::take(&mut self.control).into())),
            Opcode::Pong => {
                self.control = Vec::new();
                return Ok(None);
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                let Some(message) = self.message.take_if(|_| last) else {
                    return Ok(None);
                };
                if message.text && simdutf8::basic::from_utf8(&message.bytes).is_err() {
                    return Err(Violation::Utf8);
                }
                Ok(Event::Message(message.bytes.into()))
            }
        }
        .map(Some)
    }
}

/// Takes bytes until the header is whole, and reads it.
fn take_header(
    header: &mut [u8; MAX_HEADER],
    filled: &mut u8,
    input: &mut &[u8],
) -> Result<Option<Frame>, Violation> {
    while let Some((&byte, rest)) = input.split_first() {
        *input = rest;
        header[usize::from(*filled)] = byte;
        *filled += 1;
        if *filled == 1 {
            check_first(byte)?;
        } else if usize::from(*filled) == header_length(header[1])? {
            return parse_header(header).map(Some);
        }
    }
    Ok(None)
}

/// What the first byte alone gives away, so that garbage is refused at once.
fn check_first(byte: u8) -> Result<Opcode, Violation> {
    if byte & 0x70 != 0 {
        return Err(Violation::ReservedBit);
    }
    let opcode = Opcode::from_bits(byte & 0x0F).ok_or(Violation::ReservedOpcode)?;
    if opcode.is_control() && byte & 0x80 == 0 {
        return Err(Violation::Control);
    }
    Ok(opcode)
}

/// How long the header is, from its second byte.
fn header_length(second: u8) -> Result<usize, Violation> {
    if second & 0x80 == 0 {
        return Err(Violation::Unmasked);
    }
    Ok(match second & 0x7F {
        126 => 2 + 2 + 4,
        127 => 2 + 8 + 4,
        _ => 2 + 4,
    })
}

fn parse_header(header: &[u8; MAX_HEADER]) -> Result<Frame, Violation> {
    let opcode = check_first(header[0])?;
    let [_, second, a, b, c, d, e, f, g, h, ..] = *header;
    let length = match second & 0x7F {
        126 => u64::from(u16::from_be_bytes([a, b])),
        127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        short => u64::from(short),
    };
    let shortest = match second & 0x7F {
        126 => length > 125,
        127 => length > 0xFFFF && length >> 63 == 0,
        _ => true,
    };
    if !shortest {
        return Err(Violation::Length);
    }
    let remaining = usize::try_from(length).map_err(|_| Violation::TooLong)?;
    if opcode.is_control() && remaining > MAX_CONTROL_PAYLOAD {
        return Err(Violation::Control);
    }
    let end = header_length(second)?;
    let mask = header[end - 4..end].try_into().expect("four bytes make a mask");
    Ok(Frame {
        opcode,
        last: header[0] & 0x80 != 0,
        remaining,
        mask,
    })
}

/// Moves what there is of the payload from `input` to `payload`, and takes the mask off.
fn take_payload(frame: &mut Frame, payload: &mut Vec<u8>, input: &mut &[u8]) {
    let count = frame.remaining.min(input.len());
    let (masked, rest) = input.split_at(count);
    *input = rest;
    frame.remaining -= count;
    let start = payload.len();
    if payload.is_empty() {
        // Exact, so that a message that arrives in one piece becomes `Bytes` without another allocation.
        payload.reserve_exact(count);
    }
    payload.extend_from_slice(masked);
    unmask(&mut payload[start..], frame.mask);
    frame.mask.rotate_left(count % 4);
}

/// Takes the mask off, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
