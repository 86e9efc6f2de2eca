//! What messages cost to encode and decode, in each codec and in both directions.

use std::hint::black_box;

use campanile_benches::sample::{CHANNEL, publication};
use campanile_common::message::{
    Command, ConnectRequest, ConnectResult, PublishRequest, PublishResult, Push, Reply, SubscribeRequest,
    SubscribeResult,
};
use campanile_common::{Bytes, Codec, StreamDecoder};

use crate::operation::Operation;

/// Messages that come on a stream at once.
const MESSAGES: u32 = 16;

/// As many of them as a read brings.
const READ: usize = 4096;

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for codec in Codec::ALL {
        operations.extend(
            commands()
                .into_iter()
                .flat_map(|(what, message)| command(codec, what, message)),
        );
        operations.extend(
            replies()
                .into_iter()
                .flat_map(|(what, message)| reply(codec, what, message)),
        );
        operations.push(stream(codec, "whole", READ));
        operations.push(stream(codec, "split", 100));
    }
    operations
}

fn commands() -> Vec<(&'static str, Command)> {
    let connect = ConnectRequest {
        token: "x".repeat(180),
        name: "js".into(),
        ..ConnectRequest::default()
    };
    let subscribe = SubscribeRequest {
        channel: CHANNEL.into(),
        recover: true,
        epoch: "fh3k".into(),
        offset: 123_456,
        ..SubscribeRequest::default()
    };
    let publish = PublishRequest {
        channel: CHANNEL.into(),
        data: publication().data,
        ..PublishRequest::default()
    };
    vec![
        ("connect", Command::new(1, connect)),
        ("subscribe", Command::new(2, subscribe)),
        ("publish", Command::new(7, publish)),
        ("pong", Command::default()),
    ]
}

fn replies() -> Vec<(&'static str, Reply)> {
    let connected = ConnectResult {
        client: "7bd0e6cf-2f4c-4a41-b4a8-d9e1f2f8a3c5".into(),
        version: "0.1.0".into(),
        ping: 25,
        pong: true,
        ..ConnectResult::default()
    };
    let recovered = SubscribeResult {
        recoverable: true,
        positioned: true,
        was_recovering: true,
        recovered: true,
        epoch: "fh3k".into(),
        offset: 123_446,
        publications: vec![publication(); 10],
        ..SubscribeResult::default()
    };
    vec![
        ("connected", Reply::answer(1, connected)),
        ("recovered_10", Reply::answer(2, recovered)),
        ("published", Reply::answer(7, PublishResult {})),
        (
            "publication",
            Reply::push(Push::publication(CHANNEL, publication())),
        ),
    ]
}

fn command(codec: Codec, what: &'static str, message: Command) -> [Operation; 2] {
    let frame = codec.encode_command(&message);
    let decoded = codec.decode_commands(&frame).next();
    assert!(
        matches!(decoded, Some(Ok(_))),
        "what is measured is decoding, not failing"
    );
    [
        Operation::new(name(codec, "encode", what), move || {
            let message = message.clone();
            move || drop(black_box(codec.encode_command(black_box(&message))))
        }),
        Operation::new(name(codec, "decode", what), move || {
            let frame = frame.clone();
            move || drop(black_box(codec.decode_commands(black_box(&frame)).next()))
        }),
    ]
}

fn reply(codec: Codec, what: &'static str, message: Reply) -> [Operation; 2] {
    let frame = codec.encode_reply(&message);
    let decoded = codec.decode_replies(&frame).next();
    assert!(
        matches!(decoded, Some(Ok(_))),
        "what is measured is decoding, not failing"
    );
    [
        Operation::new(name(codec, "encode", what), move || {
            let message = message.clone();
            move || drop(black_box(codec.encode_reply(black_box(&message))))
        }),
        Operation::new(name(codec, "decode", what), move || {
            let frame = frame.clone();
            move || drop(black_box(codec.decode_replies(black_box(&frame)).next()))
        }),
    ]
}

/// Commands on a stream that come in pieces of `read` bytes.
fn stream(codec: Codec, what: &'static str, read: usize) -> Operation {
    let publish = PublishRequest {
        channel: CHANNEL.into(),
        data: publication().data,
        ..PublishRequest::default()
    };
    let message = codec.encode_command(&Command::new(7, publish));
    let bytes = Bytes::from(message.repeat(MESSAGES as usize));
    let prepare = move || {
        let bytes = bytes.clone();
        let mut decoder = StreamDecoder::new(codec, 64 * 1024);
        let mut run = move || {
            let mut frames = 0;
            for mut piece in bytes.chunks(read) {
                while let Ok(Some(frame)) = decoder.next(black_box(&mut piece)) {
                    drop(black_box(frame));
                    frames += 1;
                }
            }
            frames
        };
        assert_eq!(run(), MESSAGES, "every message comes out of the stream");
        move || {
            black_box(run());
        }
    };
    Operation::new(name(codec, "stream", what), prepare).of(MESSAGES)
}

fn name(codec: Codec, direction: &str, what: &str) -> String {
    format!("codec/{direction}_{what}/{}", codec.label())
}
