//! The form of a frame (RFC 6455 §5.2): opcodes, headers, and the payload of a close frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::violation::Violation;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before it.
    Continuation,
    /// The beginning of a message of text.
    Text,
    /// The beginning of a message of anything.
    Binary,
    /// The end.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    /// The opcode in the low four bits of a frame's first byte; the others are reserved.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The longest payload of a control frame.
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest header of a server's frame: two bytes, and a length of 64 bits.
const MAX_HEADER: usize = 10;

/// The header of a frame that a server sends: final, not masked.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    length: u8,
}

impl Header {
    /// The header before `payload` bytes.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each arm checks the length it writes"
    )]
    #[must_use]
    pub fn new(opcode: Opcode, payload: usize) -> Self {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = 0x80 | opcode.bits();
        let length = match payload {
            0..=125 => {
                bytes[1] = payload as u8;
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, length }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A whole control frame. A payload that is too long is cut.
pub(super) fn control(opcode: Opcode, payload: &[u8]) -> Bytes {
    let payload = &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)];
    let header = Header::new(opcode, payload.len());
    let mut frame = BytesMut::with_capacity(header.as_slice().len() + payload.len());
    frame.put_slice(header.as_slice());
    frame.put_slice(payload);
    frame.freeze()
}

/// A close frame. A reason that is too long is cut between two characters.
pub(super) fn close(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - 2)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.put_u16(code);
    payload.put_slice(reason.as_bytes());
    control(Opcode::Close, &payload)
}

/// The code in the payload of a client's close frame, if it gives one.
pub(super) fn parse_close(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::Close)
        };
    };
    if simdutf8::basic::from_utf8(reason).is_err() {
        return Err(Violation::Utf8);
    }
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(Violation::Close),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_uses_the_shortest_length() {
        let header = |payload| Header::new(Opcode::Binary, payload).as_slice().to_vec();
        assert_eq!(header(0), [0x82, 0]);
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(0xFFFF), [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(header(0x1_0000), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_frame_cuts_its_reason_between_characters() {
        let frame = close(3008, &"é".repeat(100));
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert_eq!(parse_close(&frame[2..]), Ok(Some(3008)));
    }

    #[test]
    fn codes_that_must_not_be_sent_are_refused() {
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(parse_close(&code.to_be_bytes()), Err(Violation::Close), "{code}");
        }
        assert_eq!(parse_close(&[]), Ok(None));
        assert_eq!(parse_close(&[3]), Err(Violation::Close));
        assert_eq!(parse_close(&[3, 232, 0xFF]), Err(Violation::Utf8));
    }
}
