//! What WebSocket's frames cost.

use std::hint::black_box;

use campanile_benches::sample::{CHANNEL, publication};
use campanile_common::Codec;
use campanile_common::message::{Command, PublishRequest};
use campanile_gateway::transport::websocket::{Decoder, Header, Opcode};

use crate::operation::Operation;

/// Frames that come in one read.
const FRAMES: u32 = 16;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        decode("1", 1),
        decode("16", FRAMES),
        Operation::new("websocket/header", || {
            || {
                let header = Header::new(black_box(Opcode::Text), black_box(160));
                black_box(header.as_slice());
            }
        }),
    ]
}

/// Decodes `count` frames of a publish command each.
fn decode(what: &str, count: u32) -> Operation {
    let prepare = move || {
        let input = frame().repeat(count as usize);
        let mut decoder = Decoder::new(64 * 1024);
        move || {
            let mut input = black_box(input.as_slice());
            while let Ok(Some(event)) = decoder.next(&mut input) {
                drop(black_box(event));
            }
        }
    };
    Operation::new(format!("websocket/decode/{what}"), prepare).of(count)
}

/// As a client sends it: masked.
fn frame() -> Vec<u8> {
    let publish = PublishRequest {
        channel: CHANNEL.into(),
        data: publication().data,
        ..PublishRequest::default()
    };
    let payload = Codec::Json.encode_command(&Command::new(7, publish));
    let mut frame = Header::new(Opcode::Text, payload.len()).as_slice().to_vec();
    frame[1] |= 0x80;
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.into_iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}
