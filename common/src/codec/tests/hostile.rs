//! Frames that were made to do harm.

use super::*;
use crate::message::FilterNode;

/// Deep enough to overflow any stack if a level cost some of it, and to take minutes if levels were
/// gone through more than once.
const DEEP: usize = 1_000_000;

#[test]
fn a_length_beyond_the_frame_is_refused_before_anything_is_done_with_it() {
    for codec in [Codec::Protobuf, Codec::MessagePack] {
        // 4 GiB, then the largest 64-bit length.
        for (length, bytes) in [
            (1 << 32, &b"\x80\x80\x80\x80\x10"[..]),
            (u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let error = commands(codec, bytes).unwrap_err();
            assert!(
                matches!(error, DecodeError::Truncated { length: claimed, remaining: 0 } if claimed == length),
                "{error:?}"
            );
        }
        let unfinished = commands(codec, &b"\x80\x80"[..]).unwrap_err();
        assert!(matches!(unfinished, DecodeError::Length), "{unfinished:?}");
        let endless = commands(codec, vec![0x80; 32]).unwrap_err();
        assert!(matches!(endless, DecodeError::Length), "{endless:?}");
    }
}

#[test]
fn lengths_within_a_message_are_checked_too() {
    // A payload, a string and a list of 4 GiB each.
    for body in [
        &b"\x62\x06\x0a\xff\xff\xff\xff\x0f"[..],
        b"\x22\x06\x0a\xff\xff\xff\xff\x0f",
    ] {
        assert!(commands(Codec::Protobuf, prefixed(body)).is_err());
    }
    for body in [
        &b"\x81\xa4send\x81\xa4data\xc6\xff\xff\xff\xff"[..],
        b"\x81\xa7connect\x81\xa5token\xdb\xff\xff\xff\xff",
        b"\x81\xabsub_refresh\x81\xa7untrack\xdd\xff\xff\xff\xff",
        b"\x81\xa7connect\x81\xa4subs\xdf\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ] {
        assert!(commands(Codec::MessagePack, prefixed(body)).is_err());
    }
}

fn prefixed(body: &[u8]) -> Bytes {
    length::prefixed(|buffer| buffer.extend_from_slice(body))
}

#[test]
fn deep_payloads_cost_neither_stack_nor_time() {
    let payload = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let line = format!(r#"{{"id":1,"publish":{{"channel":"c","data":{payload}}}}}"#);
    let [command] = &commands(Codec::Json, line).unwrap()[..] else {
        panic!("one command")
    };
    let sent = &command.publish.as_ref().unwrap().data;
    assert_eq!(sent, payload.as_bytes());
    let again = Codec::Json.encode_command(command);
    assert!(!again.contains(&b'['), "nobody else is given it as JSON");

    let unknown = format!(r#"{{"id":1,"unknown":{payload}}}"#);
    assert_eq!(commands(Codec::Json, unknown).unwrap().len(), 1);
    let unclosed = format!(r#"{{"publish":{{"data":{}}}}}"#, "[".repeat(DEEP));
    assert!(commands(Codec::Json, unclosed).is_err());
}

#[test]
fn deep_messages_are_refused() {
    let json = format!(r#"{{"subscribe":{{"tf":{}"#, r#"{"nodes":[{"#.repeat(DEEP));
    assert!(commands(Codec::Json, json).is_err());

    let unknown = [b"\x81\xa3new".to_vec(), vec![0x91; DEEP]].concat();
    assert!(commands(Codec::MessagePack, prefixed(&unknown)).is_err());
    let nodes = [
        b"\x81\xa9subscribe\x81\xa2tf".to_vec(),
        b"\x81\xa5nodes\x91".repeat(DEEP),
    ]
    .concat();
    assert!(commands(Codec::MessagePack, prefixed(&nodes)).is_err());

    let mut deep = FilterNode::default();
    for _ in 0..200 {
        deep = FilterNode {
            nodes: vec![deep],
            ..Default::default()
        };
    }
    let request = crate::message::SubscribeRequest {
        tf: Some(Box::new(deep)),
        ..Default::default()
    };
    let command = Command::new(1, request);
    for codec in Codec::ALL {
        assert!(
            commands(codec, codec.encode_command(&command)).is_err(),
            "{codec:?}"
        );
    }
}

#[test]
fn what_is_not_a_message_is_refused() {
    for line in [
        "[]",
        "null",
        "1",
        "\"{}\"",
        "{",
        "{}{}",
        "{} {}",
        "{\"id\":-1}",
        "{\"id\":4294967296}",
        "{\"id\":1.5}",
        "{\"id\":\"1\"}",
        "{\"id\":1,\"id\":2}",
        "{\"subscribe\":[\"channel\"]}",
        "{\"subscribe\":true}",
        "{\"connect\":{\"subs\":{\"a\":[]}}}",
        "{\"publish\":{\"data\":{]}}",
        "{\"publish\":{\"channel\":\"\u{1}\"}}",
    ] {
        let error = commands(Codec::Json, line).unwrap_err();
        assert!(matches!(error, DecodeError::Json(_)), "{line}: {error:?}");
    }
    for body in [
        &b"\x90"[..],
        b"\xc0",
        b"\x01",
        b"\x81\xa2id\xff",
        b"\x81\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let error = commands(Codec::MessagePack, prefixed(body)).unwrap_err();
        assert!(
            matches!(error, DecodeError::MessagePack(_)),
            "{body:?}: {error:?}"
        );
    }
    let error = commands(Codec::MessagePack, prefixed(b"\x80\x80")).unwrap_err();
    assert!(matches!(error, DecodeError::Trailing(1)), "{error:?}");
    // A wrong wire type, field number 0, a group without its end.
    for body in [&b"\x0a\x00"[..], b"\x00\x00", b"\x0b"] {
        let error = commands(Codec::Protobuf, prefixed(body)).unwrap_err();
        assert!(matches!(error, DecodeError::Protobuf(_)), "{body:?}: {error:?}");
    }
}

#[test]
fn invalid_utf8_is_refused() {
    assert!(commands(Codec::Json, &b"{\"connect\":{\"token\":\"\xff\"}}"[..]).is_err());
    assert!(commands(Codec::Json, &b"{\"send\":{\"data\":\"\xff\"}}"[..]).is_err());
    assert!(commands(Codec::Protobuf, prefixed(b"\x22\x03\x0a\x01\xff")).is_err());
    assert!(
        commands(
            Codec::MessagePack,
            prefixed(b"\x81\xa7connect\x81\xa5token\xa1\xff")
        )
        .is_err()
    );
}

#[test]
fn nothing_is_decoded_after_an_error() {
    for codec in Codec::ALL {
        let frame = match codec {
            Codec::Json => b"{}\nx\n{}\n".to_vec(),
            // The second message is a field without its value.
            Codec::Protobuf => b"\x00\x01\x08\x00".to_vec(),
            Codec::MessagePack => b"\x01\x80\x01\x90\x01\x80".to_vec(),
        };
        let mut messages = codec.decode_commands(&frame.into());
        assert!(messages.next().unwrap().is_ok());
        assert!(messages.next().unwrap().is_err());
        assert!(messages.next().is_none());
    }
}
