//! What goes through a codec and comes back; what is refused; and the bytes that others send.

mod hostile;
mod known;
mod round_trip;

use super::*;

/// All messages of a frame of commands, or the first error.
fn commands(codec: Codec, frame: impl Into<Bytes>) -> Result<Vec<Command>, DecodeError> {
    codec.decode_commands(&frame.into()).collect()
}

/// All messages of a frame of replies, or the first error.
fn replies(codec: Codec, frame: impl Into<Bytes>) -> Result<Vec<Reply>, DecodeError> {
    codec.decode_replies(&frame.into()).collect()
}

/// Messages joined to a frame.
fn join(messages: impl IntoIterator<Item = Bytes>) -> Vec<u8> {
    messages.into_iter().flatten().collect()
}

#[test]
fn names_choose_codecs() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_query(codec.label()), Some(codec));
        assert_eq!(Codec::ALL[codec.index()], codec);
        if let Some(name) = codec.subprotocol() {
            assert_eq!(Codec::from_subprotocol(name), Some(codec));
        }
    }
    assert_eq!(Codec::from_subprotocol("graphql-ws"), None);
    assert_eq!(Codec::from_subprotocol("json"), None);
    assert_eq!(Codec::from_query(""), None);
    assert!(!Codec::Json.is_binary());
}

#[test]
fn a_ping_is_an_empty_reply_and_a_pong_an_empty_command() {
    for codec in Codec::ALL {
        assert_eq!(codec.encode_ping(), codec.encode_reply(&Reply::default()));
        assert_eq!(codec.encode_ping(), codec.encode_command(&Command::default()));
        let [ping] = &replies(codec, codec.encode_ping()).unwrap()[..] else {
            panic!("{codec:?}")
        };
        assert!(ping.is_ping());
        let [pong] = &commands(codec, codec.encode_ping()).unwrap()[..] else {
            panic!("{codec:?}")
        };
        assert!(pong.is_pong());
    }
}
