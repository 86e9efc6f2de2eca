//! What holds for every frame that anyone can send, whatever is in it.
//!
//! One target per codec in `fuzz_targets/` hands arbitrary bytes to [`check_frame`]. `seeds/` holds, per
//! codec, a frame with one command of each kind, from which the fuzzer sets out.

use campanile_common::message::Command;
use campanile_common::{Bytes, Codec};

/// Decodes a frame of commands and checks what comes out of it. Panics on what should never be.
pub fn check_frame(codec: Codec, frame: &[u8]) {
    let frame = Bytes::copy_from_slice(frame);
    for command in codec.decode_commands(&frame) {
        // An error is a fine end of the frame; a panic, an overflow or a large allocation is not.
        let Ok(command) = command else { return };
        check_round_trip(codec, &command);
        check_json_line(&command);
        check_request(command);
    }
}

/// What was decoded is encoded and decoded again to the same.
fn check_round_trip(codec: Codec, command: &Command) {
    let encoded = codec.encode_command(command);
    let mut again = codec.decode_commands(&encoded);
    let decoded = again
        .next()
        .expect("an encoded command is a frame")
        .expect("which decodes");
    assert!(again.next().is_none(), "one command became several");
    assert_eq!(encoded, codec.encode_command(&decoded), "the encoding changed");
    // JSON leaves line breaks out of payloads: only then may the command differ from what came in.
    if codec != Codec::Json || !frame_has_carriage_return(command) {
        assert_eq!(*command, decoded, "the command changed");
    }
}

/// Whether the MessagePack form, which carries payloads as they are, has a carriage return in it.
fn frame_has_carriage_return(command: &Command) -> bool {
    Codec::MessagePack.encode_command(command).contains(&b'\r')
}

/// Whatever the codec was that brought a payload in, as JSON it stays on one line.
fn check_json_line(command: &Command) {
    let line = Codec::Json.encode_command(command);
    let line_breaks = line.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert_eq!(
        (line_breaks, line.last()),
        (1, Some(&b'\n')),
        "the line is broken"
    );
}

/// A command with one request is put together again from its parts.
fn check_request(command: Command) {
    let copy = command.clone();
    let Ok((id, request)) = command.into_request() else {
        return;
    };
    let rebuilt = match request {
        Some(request) => Command::new(id, request),
        None => Command {
            id,
            ..Command::default()
        },
    };
    assert_eq!(rebuilt, copy, "the request lost something");
}
