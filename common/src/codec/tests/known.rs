//! Bytes worked out by hand from the protocol's definition, and lines as SDKs send them.

use super::*;
use crate::code::ErrorCode;
use crate::message::{
    ConnectRequest, ConnectResult, HistoryRequest, StreamPosition, SubscribeRequest, SubscribeResult,
    SubscriptionEntry,
};

fn connect() -> Command {
    Command::new(
        1,
        ConnectRequest {
            token: "x".into(),
            name: "js".into(),
            ..Default::default()
        },
    )
}

fn publication(offset: u64) -> Publication {
    Publication {
        data: Bytes::from_static(b"{}"),
        offset,
        ..Default::default()
    }
}

#[test]
fn json_commands_as_the_sdks_send_them() {
    let line = r#"{"id":1,"connect":{"token":"x","name":"js"}}"#;
    assert_eq!(commands(Codec::Json, line).unwrap(), [connect()]);
    assert_eq!(Codec::Json.encode_command(&connect()), format!("{line}\n"));

    let reordered = r#" { "connect" : {"name":"js","token":"x","subs":null,"later":[{}]}, "id":1 }"#;
    assert_eq!(commands(Codec::Json, reordered).unwrap(), [connect()]);

    let frame = "{\"connect\":{},\"id\":1}\n{\"subscribe\":{\"channel\":\"a\",\"recover\":true,\"epoch\":\"e\",\
                 \"offset\":18446744073709551615},\"id\":2}\n\n{}\r\n{\"id\":3,\"ping\":{}}";
    let [connect, subscribe, pong, ping] = &commands(Codec::Json, frame).unwrap()[..] else {
        panic!("four commands")
    };
    assert_eq!(connect.connect, Some(Box::default()));
    assert_eq!(subscribe.subscribe.as_ref().unwrap().offset, u64::MAX);
    assert!(pong.is_pong());
    assert_eq!(ping.ping, Some(crate::message::PingRequest {}));
}

#[test]
fn json_replies_as_the_sdks_expect_them() {
    let sent = [
        Reply::error(7, ErrorCode::PermissionDenied),
        Reply::push(Push::publication("news", publication(u64::MAX))),
        Reply::answer(2, SubscribeResult::default()),
    ];
    let lines = concat!(
        r#"{"id":7,"error":{"code":103,"message":"permission denied"}}"#,
        "\n",
        r#"{"push":{"channel":"news","pub":{"data":{},"offset":18446744073709551615}}}"#,
        "\n",
        r#"{"id":2,"subscribe":{}}"#,
        "\n",
    );
    assert_eq!(
        join(sent.iter().map(|reply| Codec::Json.encode_reply(reply))),
        lines.as_bytes()
    );
    assert_eq!(replies(Codec::Json, lines).unwrap(), sent);
    assert_eq!(
        Codec::Json.encode_publication("news", publication(u64::MAX)),
        Codec::Json.encode_reply(&sent[1])
    );
}

#[test]
fn protobuf_commands_and_replies() {
    let frame = b"\x0b\x08\x01\x22\x07\x0a\x01x\x22\x02js";
    assert_eq!(Codec::Protobuf.encode_command(&connect()), &frame[..]);
    assert_eq!(commands(Codec::Protobuf, &frame[..]).unwrap(), [connect()]);

    let push = Reply::push(Push::publication("news", publication(300)));
    let frame = b"\x11\x22\x0f\x12\x04news\x22\x07\x22\x02{}\x30\xac\x02";
    assert_eq!(Codec::Protobuf.encode_reply(&push), &frame[..]);
    assert_eq!(replies(Codec::Protobuf, &frame[..]).unwrap(), [push]);
}

#[test]
fn protobuf_numbers_of_each_kind() {
    let history = HistoryRequest {
        limit: -1,
        since: Some(StreamPosition {
            offset: u64::MAX,
            epoch: String::new(),
        }),
        ..Default::default()
    };
    // A negative int32 has ten bytes, as has the largest uint64.
    let frame = b"\x1a\x52\x18\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\
                  \x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let history = Command::new(0, history);
    assert_eq!(Codec::Protobuf.encode_command(&history), &frame[..]);
    assert_eq!(commands(Codec::Protobuf, &frame[..]).unwrap(), [history]);

    let scored = Publication {
        score: -1,
        ..Default::default()
    };
    assert_eq!(
        prost::Message::encode_to_vec(&scored),
        [0x68, 0x01],
        "sint64 is zigzag"
    );
}

#[test]
fn messagepack_commands() {
    let frame = b"\x1e\x82\xa2id\x01\xa7connect\x82\xa5token\xa1x\xa4name\xa2js";
    assert_eq!(Codec::MessagePack.encode_command(&connect()), &frame[..]);
    assert_eq!(commands(Codec::MessagePack, &frame[..]).unwrap(), [connect()]);

    let message = Reply::push(Push::message(Bytes::from_static(b"\xff\x00")));
    let frame = b"\x19\x81\xa4push\x81\xa7message\x81\xa4data\xc4\x02\xff\x00";
    assert_eq!(Codec::MessagePack.encode_reply(&message), &frame[..]);
}

#[test]
fn a_request_without_fields_is_still_a_request() {
    let subscribe = Command::new(0, SubscribeRequest::default());
    for (codec, frame) in [
        (Codec::Json, &b"{\"subscribe\":{}}\n"[..]),
        (Codec::Protobuf, b"\x02\x2a\x00"),
        (Codec::MessagePack, b"\x0c\x81\xa9subscribe\x80"),
    ] {
        assert_eq!(codec.encode_command(&subscribe), frame, "{codec:?}");
        let [received] = &commands(codec, frame).unwrap()[..] else {
            panic!("{codec:?}")
        };
        assert!(!received.is_pong());
        assert_eq!(received, &subscribe);
    }
}

#[test]
fn unknown_fields_are_ignored() {
    for (codec, frame) in [
        (Codec::Json, &br#"{"new":{"deep":[{"id":9}]},"id":5}"#[..]),
        // Field 99 with three bytes, then the id.
        (Codec::Protobuf, b"\x08\x9a\x06\x03abc\x08\x05"),
        (Codec::MessagePack, b"\x0b\x82\xa3new\x91\x81\x01\x02\xa2id\x05"),
    ] {
        let mut frame = frame.to_vec();
        if codec != Codec::Json {
            frame[0] = u8::try_from(frame.len() - 1).unwrap();
        }
        assert_eq!(
            commands(codec, frame).unwrap(),
            [Command {
                id: 5,
                ..Default::default()
            }],
            "{codec:?}"
        );
    }
}

#[test]
fn null_is_the_default_in_the_codecs_that_have_it() {
    let line = r#"{"id":null,"connect":null,"subscribe":{"channel":null,"tf":null,"recover":null}}"#;
    assert_eq!(
        commands(Codec::Json, line).unwrap(),
        [Command::new(0, SubscribeRequest::default())]
    );
    let frame = b"\x07\x81\xa4send\xc0";
    assert_eq!(
        commands(Codec::MessagePack, &frame[..]).unwrap(),
        [Command::default()]
    );
}

#[test]
fn protobuf_payloads_are_slices_of_the_frame() {
    let frame = Codec::Protobuf.encode_reply(&Reply::push(Push::message(Bytes::from_static(b"payload"))));
    let [reply] = &replies(Codec::Protobuf, frame.clone()).unwrap()[..] else {
        panic!("one reply")
    };
    let data = &reply.push.as_ref().unwrap().message.as_ref().unwrap().data;
    assert!(frame.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn a_subscription_that_says_nothing_is_written_all_the_same() {
    let entry = SubscriptionEntry::new("c", SubscribeResult::default());
    let reply = Reply::answer(
        1,
        ConnectResult {
            subs: vec![entry],
            ..ConnectResult::default()
        },
    );
    // The entry (field 6 of field 5): its key, and its value of no bytes.
    let protobuf = b"\x0b\x08\x01\x2a\x07\x32\x05\x0a\x01c\x12\x00";
    assert_eq!(Codec::Protobuf.encode_reply(&reply), &protobuf[..]);
    let json = "{\"id\":1,\"connect\":{\"subs\":{\"c\":{}}}}\n";
    assert_eq!(Codec::Json.encode_reply(&reply), json);
    // As prost would write it, and as anybody may: without the value.
    let without = Bytes::from_static(b"\x09\x08\x01\x2a\x05\x32\x03\x0a\x01c");
    let read = Codec::Protobuf.decode_replies(&without).next().unwrap().unwrap();
    let connect = read.connect.unwrap();
    assert_eq!(connect.subs.len(), 1);
    assert_eq!(connect.subscription("c"), None);
}
