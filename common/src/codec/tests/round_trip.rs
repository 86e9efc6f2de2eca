//! Round trips of arbitrary messages.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::message::sample::messages;

fn codecs() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[..])
}

proptest! {
    #[test]
    fn frames_of_commands_come_back(codec in codecs(), sent in vec(messages::<Command>(), 0..4)) {
        let frame = join(sent.iter().map(|command| codec.encode_command(command)));
        prop_assert_eq!(commands(codec, frame).unwrap(), sent);
    }

    #[test]
    fn frames_of_replies_come_back(codec in codecs(), sent in vec(messages::<Reply>(), 0..4)) {
        let frame = join(sent.iter().map(|reply| codec.encode_reply(reply)));
        prop_assert_eq!(replies(codec, frame).unwrap(), sent);
    }

    #[test]
    fn the_last_line_break_may_be_missing(sent in messages::<Command>()) {
        let mut frame = Codec::Json.encode_command(&sent);
        frame.truncate(frame.len() - 1);
        prop_assert_eq!(commands(Codec::Json, frame).unwrap(), vec![sent]);
    }

    #[test]
    fn a_json_message_is_one_line(sent in messages::<Reply>()) {
        let line = Codec::Json.encode_reply(&sent);
        prop_assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
        prop_assert!(!line.contains(&b'\r'));
    }

    #[test]
    fn binary_payloads_come_back_from_binary_codecs(data in vec(any::<u8>(), 0..300)) {
        let sent = Reply::push(Push::message(data.into()));
        for codec in [Codec::Protobuf, Codec::MessagePack] {
            prop_assert_eq!(replies(codec, codec.encode_reply(&sent)).unwrap(), vec![sent.clone()]);
        }
    }

    #[test]
    fn no_payload_breaks_a_json_frame(data in vec(any::<u8>(), 0..300)) {
        let sent = Reply::push(Push::message(data.into()));
        let line = Codec::Json.encode_reply(&sent);
        prop_assert_eq!(replies(Codec::Json, join([line.clone(), line])).unwrap().len(), 2);
    }

    #[test]
    fn a_truncated_frame_yields_what_is_whole(
        codec in codecs(),
        sent in vec(messages::<Command>(), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut cut_frame = Bytes::from(join(sent.iter().map(|command| codec.encode_command(command))));
        cut_frame.truncate(cut.index(cut_frame.len()));
        let received: Vec<_> = codec.decode_commands(&cut_frame).collect();
        prop_assert!(received.iter().rev().skip(1).all(Result::is_ok));
        let whole = received.iter().flatten();
        prop_assert!(whole.zip(&sent).all(|(received, sent)| received == sent));
    }

    #[test]
    fn random_bytes_end_in_messages_or_one_error(codec in codecs(), bytes in vec(any::<u8>(), 0..200)) {
        let received: Vec<_> = codec.decode_commands(&bytes.into()).collect();
        prop_assert!(received.iter().rev().skip(1).all(Result::is_ok));
    }

    #[test]
    fn a_flipped_byte_ends_in_messages_or_one_error(
        codec in codecs(),
        sent in messages::<Command>(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = codec.encode_command(&sent).to_vec();
        let at = at.index(frame.len());
        frame[at] = byte;
        let received: Vec<_> = codec.decode_commands(&frame.into()).collect();
        prop_assert!(received.iter().rev().skip(1).all(Result::is_ok));
    }
}
