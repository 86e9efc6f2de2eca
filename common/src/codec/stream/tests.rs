//! What is a message, what is none, and that it does not matter how the bytes come.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 300;

fn prefixed(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut length = body.len();
    while length >= 0x80 {
        message.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).unwrap());
    message.extend(body);
    message
}

fn line(body: &[u8]) -> Vec<u8> {
    [body, b"\n"].concat()
}

/// Feeds `input` in pieces of these sizes, the last one repeated; gives the frames and how it went.
fn decode(codec: Codec, input: &[u8], pieces: &[usize]) -> (Vec<Bytes>, Result<StreamDecoder, StreamError>) {
    let (mut decoder, mut frames) = (StreamDecoder::new(codec, LIMIT), Vec::new());
    let mut rest = input;
    let mut sizes = pieces
        .iter()
        .copied()
        .chain(std::iter::repeat(input.len().max(1)));
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).min(rest.len());
        let (mut piece, after) = rest.split_at(size);
        rest = after;
        while !piece.is_empty() {
            match decoder.next(&mut piece) {
                Ok(frame) => frames.extend(frame),
                Err(error) => return (frames, Err(error)),
            }
            assert!(
                decoder.held() <= LIMIT + MAX_VARINT,
                "{} bytes held",
                decoder.held()
            );
        }
    }
    (frames, Ok(decoder))
}

#[test]
fn whole_messages_are_one_frame() {
    let (frames, decoder) = decode(Codec::Json, b"{}\n{\"id\":1}\n{\"i", &[]);
    assert_eq!(frames, [&b"{}\n{\"id\":1}\n"[..]]);
    assert_eq!(decoder.unwrap().partial, b"{\"i");
    let (frames, decoder) = decode(Codec::Protobuf, b"\x02ab\x00\x01c\x03de", &[]);
    assert_eq!(frames, [&b"\x02ab\x00\x01c"[..]]);
    assert_eq!(decoder.unwrap().partial, b"\x03de");
}

#[test]
fn a_message_that_was_split_is_a_frame_of_its_own() {
    let (frames, decoder) = decode(Codec::Json, b"{\"id\":1}\n{}\n{}\n", &[3]);
    assert_eq!(frames, [&b"{\"id\":1}\n"[..], b"{}\n{}\n"]);
    assert_eq!(decoder.unwrap().held(), 0);
    let long = prefixed(&[7; 200]);
    let (frames, decoder) = decode(Codec::MessagePack, &[&long[..], b"\x00"].concat(), &[1, 1, 1]);
    assert_eq!(frames, [&long[..], b"\x00"]);
    assert_eq!(decoder.unwrap().held(), 0);
}

#[test]
fn messages_can_be_asked_for_one_at_a_time() {
    let mut decoder = StreamDecoder::new(Codec::Json, LIMIT);
    let mut input = &b"{}\n{\"id\":1}\n{"[..];
    assert_eq!(decoder.next_message(&mut input).unwrap().unwrap(), &b"{}\n"[..]);
    assert_eq!(
        decoder.next_message(&mut input).unwrap().unwrap(),
        &b"{\"id\":1}\n"[..]
    );
    assert_eq!(decoder.next_message(&mut input), Ok(None));
    assert_eq!(
        decoder.next_message(&mut &b"}\n{}"[..]).unwrap().unwrap(),
        &b"{}\n"[..]
    );
}

#[test]
fn a_message_of_the_limit_passes_and_a_longer_one_does_not() {
    for pieces in [&[][..], &[1], &[LIMIT], &[LIMIT + 1], &[1; 2 * LIMIT]] {
        for (codec, wrap) in [(Codec::Json, line as fn(&[u8]) -> _), (Codec::Protobuf, prefixed)] {
            let (frames, decoder) = decode(codec, &wrap(&[b'x'; LIMIT]), pieces);
            assert_eq!(frames.concat(), wrap(&[b'x'; LIMIT]));
            assert_eq!(decoder.unwrap().held(), 0);
            let (frames, decoder) = decode(codec, &wrap(&[b'x'; LIMIT + 1]), pieces);
            assert!(frames.is_empty());
            assert_eq!(decoder.unwrap_err(), StreamError::TooLong);
        }
    }
}

#[test]
fn an_announced_length_costs_nothing_and_a_malformed_one_ends_it() {
    let (_, decoder) = decode(Codec::Protobuf, b"\xac\x02", &[1]);
    assert!(decoder.unwrap().held() < 16);
    let (_, decoder) = decode(Codec::Protobuf, b"\xff\xff\xff\xff\x0f", &[1]);
    assert_eq!(decoder.unwrap_err(), StreamError::TooLong);
    for length in [
        [0xff; 10],
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
    ] {
        let (_, decoder) = decode(Codec::Protobuf, &length, &[4, 4, 4]);
        assert_eq!(decoder.unwrap_err(), StreamError::Length);
    }
}

#[test]
fn what_comes_before_a_breach_is_still_handed_on() {
    let (frames, decoder) = decode(Codec::Protobuf, b"\x01a\x01b\xff\xff\x7f", &[]);
    assert_eq!(frames, [&b"\x01a\x01b"[..]]);
    assert_eq!(decoder.unwrap_err(), StreamError::TooLong);
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL[..])
}

fn any_bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![Just(b'\n'), Just(0x80), any::<u8>()];
    let body = prop_oneof![
        prop::collection::vec(byte.clone(), 0..12),
        prop::collection::vec(byte, 0..=LIMIT),
    ];
    prop::collection::vec(body, 0..8)
}

/// The messages on the wire; a JSON body has no line break in it.
fn wire(codec: Codec, bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let message = |body: &Vec<u8>| match codec {
        Codec::Json => line(
            &body
                .iter()
                .copied()
                .filter(|&byte| byte != b'\n')
                .collect::<Vec<_>>(),
        ),
        _ => prefixed(body),
    };
    bodies.iter().map(message).collect()
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        codec in any_codec(),
        bodies in any_bodies(),
        pieces in prop::collection::vec(1_usize..40, 0..200),
    ) {
        let messages = wire(codec, &bodies);
        let (frames, decoder) = decode(codec, &messages.concat(), &pieces);
        prop_assert_eq!(frames.concat(), messages.concat());
        prop_assert_eq!(decoder.unwrap().held(), 0);
        // Each frame ends where a message does.
        let mut ends = messages.iter().scan(0, |at, message| { *at += message.len(); Some(*at) });
        let mut at = 0;
        for frame in frames {
            at += frame.len();
            prop_assert!(ends.any(|end| end == at));
        }
    }

    #[test]
    fn any_split_of_garbage_gives_the_same_messages_and_the_same_end(
        codec in any_codec(),
        bodies in any_bodies(),
        garbage in prop::collection::vec(any::<u8>(), 0..700),
        pieces in prop::collection::vec(1_usize..40, 0..200),
    ) {
        let input = [wire(codec, &bodies).concat(), garbage].concat();
        let (whole, at_once) = decode(codec, &input, &[]);
        let (pieced, in_pieces) = decode(codec, &input, &pieces);
        prop_assert_eq!(whole.concat(), pieced.concat());
        prop_assert_eq!(
            at_once.map(|decoder| decoder.partial),
            in_pieces.map(|decoder| decoder.partial)
        );
    }
}
