//! WebSocket frames: whole, masked messages in, headers of unmasked ones out.

use bytes::Bytes;
use campanile_common::Codec;

/// What came from a client.
pub(super) enum Message {
    /// Commands.
    Data(Vec<u8>),
    /// A goodbye.
    Close,
    /// Nothing that asks for an answer here.
    Control,
}

const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;
const FINAL: u8 = 0x80;

/// Takes the first message out of `input`, once all of it is there. Clients of the bench do not fragment.
pub(super) fn take(input: &mut Vec<u8>) -> Option<Message> {
    let (first, second) = (*input.first()?, *input.get(1)?);
    let (length, header) = match second & !MASKED {
        126 => (
            usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)),
            4,
        ),
        127 => (
            usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?,
            10,
        ),
        short => (usize::from(short), 2),
    };
    let mask: [u8; 4] = input.get(header..header + 4)?.try_into().ok()?;
    let begin = header + mask.len();
    let mut payload = input.get(begin..begin + length)?.to_vec();
    input.drain(..begin + length);
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some(match first & 0xf {
        CLOSE => Message::Close,
        0..3 => Message::Data(payload),
        _ => Message::Control,
    })
}

/// A message of these payloads, which the codec allows to be joined. A JSON one ends by itself, without a line break.
pub(super) fn message(codec: Codec, payloads: &[Bytes]) -> Vec<u8> {
    let mut payload = payloads.concat();
    if codec == Codec::Json && payload.ends_with(b"\n") {
        payload.pop();
    }
    let length = payload.len();
    let opcode = if codec.is_binary() { 2 } else { 1 };
    let mut frame = Vec::with_capacity(length + 10);
    frame.push(FINAL | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}
