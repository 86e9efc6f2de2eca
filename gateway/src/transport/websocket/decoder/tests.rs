use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 17;

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// All that `input` yields if it comes in pieces of these lengths, and then in one.
fn decode(input: &[u8], pieces: &[usize]) -> (Vec<Event>, Result<Decoder, Violation>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut events = Vec::new();
    let mut rest = input;
    let mut pieces = pieces.iter();
    while !rest.is_empty() {
        let length = pieces.next().map_or(rest.len(), |&length| length.min(rest.len()));
        let (mut piece, after) = rest.split_at(length);
        rest = after;
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Err(violation)),
            }
        }
        assert!(piece.is_empty(), "a decoder that asks for more has taken all");
    }
    (events, Ok(decoder))
}

fn violation(input: &[u8]) -> Violation {
    let (events, result) = decode(input, &[]);
    assert_eq!(events, []);
    result.expect_err("the input breaks the rules")
}

fn message(bytes: impl AsRef<[u8]>) -> Event {
    Event::Message(Bytes::copy_from_slice(bytes.as_ref()))
}

#[test]
fn messages_of_each_length_form_arrive() {
    for length in [0, 1, 125, 126, 127, 128, 0xFFFF, 0x1_0000, 0x1_0001] {
        let payload = vec![b'*'; length];
        for first in [0x81, 0x82] {
            let (events, decoder) = decode(&frame(first, &payload), &[]);
            assert_eq!(events, [message(&payload)]);
            assert!(decoder.unwrap().is_idle());
        }
    }
}

#[test]
fn fragments_make_one_message_around_control_frames() {
    let input = [
        frame(0x01, b"frag"),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x8A, b"unasked"),
        frame(0x80, b"ment"),
    ]
    .concat();
    let (events, decoder) = decode(&input, &[]);
    assert_eq!(
        events,
        [
            Event::Ping(Bytes::from_static(b"are you there")),
            message("fragment")
        ]
    );
    assert!(decoder.unwrap().is_idle());
}

#[test]
fn a_character_may_be_split_between_fragments() {
    let text = "κόσμε".as_bytes();
    let input = [frame(0x01, &text[..3]), frame(0x80, &text[3..])].concat();
    assert_eq!(decode(&input, &[]).0, [message(text)]);
}

#[test]
fn text_must_be_utf8_and_binary_need_not() {
    for bad in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"cut \xe2\x82",
    ] {
        assert_eq!(violation(&frame(0x81, bad)), Violation::Utf8);
        assert_eq!(decode(&frame(0x82, bad), &[]).0, [message(bad)]);
    }
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(violation(&frame(0x81 | bit, b"x")), Violation::ReservedBit);
    }
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        assert_eq!(violation(&frame(0x80 | opcode, b"")), Violation::ReservedOpcode);
    }
}

#[test]
fn frames_that_are_not_masked_are_refused() {
    assert_eq!(violation(&[0x81, 0x01]), Violation::Unmasked);
}

#[test]
fn lengths_must_be_in_their_shortest_form() {
    assert_eq!(violation(&[0x82, 0xFE, 0, 125, 0, 0, 0, 0]), Violation::Length);
    let long = [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0];
    assert_eq!(violation(&long), Violation::Length);
    let negative = [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(violation(&negative), Violation::Length);
}

#[test]
fn control_frames_are_short_and_whole() {
    assert_eq!(decode(&frame(0x89, &[1; 125]), &[]).0.len(), 1);
    assert_eq!(violation(&frame(0x89, &[1; 126])), Violation::Control);
    for opcode in [0x08, 0x09, 0x0A] {
        assert_eq!(violation(&frame(opcode, b"")), Violation::Control);
    }
}

#[test]
fn fragments_must_be_in_order() {
    assert_eq!(violation(&frame(0x80, b"x")), Violation::Fragments);
    assert_eq!(
        violation(&[frame(0x01, b"x"), frame(0x81, b"y")].concat()),
        Violation::Fragments
    );
}

#[test]
fn close_frames_are_checked() {
    assert_eq!(decode(&frame(0x88, b""), &[]).0, [Event::Close(None)]);
    let normal = [&1000_u16.to_be_bytes()[..], b"bye"].concat();
    assert_eq!(decode(&frame(0x88, &normal), &[]).0, [Event::Close(Some(1000))]);
    assert_eq!(violation(&frame(0x88, b"\x03")), Violation::Close);
    assert_eq!(violation(&frame(0x88, &1005_u16.to_be_bytes())), Violation::Close);
    assert_eq!(violation(&frame(0x88, b"\x03\xe8\xff")), Violation::Utf8);
}

#[test]
fn a_message_above_the_limit_is_refused_by_its_header_alone() {
    let mut header = vec![0x82, 0xFF];
    header.extend((LIMIT as u64 + 1).to_be_bytes());
    header.extend([0; 4]);
    assert_eq!(violation(&header), Violation::TooLong);
    let huge = [0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0];
    assert_eq!(violation(&huge), Violation::TooLong);
}

#[test]
fn the_limit_counts_all_fragments() {
    let half = vec![0; LIMIT / 2];
    let exact = [frame(0x02, &half), frame(0x80, &half)].concat();
    assert_eq!(decode(&exact, &[]).0.len(), 1);
    let above = [frame(0x02, &half), frame(0x00, &half), frame(0x80, &[0])].concat();
    assert_eq!(violation(&above), Violation::TooLong);
}

#[test]
fn a_truncated_frame_waits_and_holds_only_what_came() {
    let mut decoder = Decoder::new(LIMIT);
    let whole = frame(0x82, &vec![7; 100_000]);
    let mut input = &whole[..1000];
    assert_eq!(decoder.next(&mut input), Ok(None));
    let held = decoder.message.as_ref().unwrap().bytes.capacity();
    assert!(held <= 1000, "{held} bytes are held for 1000");
}

/// A well-formed frame of any kind but a continuation.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    let small = prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        payload.clone().prop_map(|payload| frame(0x82, &payload)),
        "[a-zäß漢]{0,80}".prop_map(|text| frame(0x81, text.as_bytes())),
        small.prop_map(|payload| frame(0x89, &payload)),
        (payload.clone(), payload)
            .prop_map(|(first, second)| [frame(0x02, &first), frame(0x80, &second)].concat()),
    ]
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter(
        frames in prop::collection::vec(any_frame(), 0..8),
        pieces in prop::collection::vec(1_usize..40, 0..200),
    ) {
        let input = frames.concat();
        let (whole, at_once) = decode(&input, &[]);
        let (pieced, in_pieces) = decode(&input, &pieces);
        prop_assert_eq!(whole, pieced);
        prop_assert!(at_once.unwrap().is_idle() && in_pieces.unwrap().is_idle());
    }

    #[test]
    fn garbage_neither_panics_nor_costs_memory(
        start in any_frame(),
        garbage in prop::collection::vec(any::<u8>(), 0..400),
        pieces in prop::collection::vec(1_usize..40, 0..60),
    ) {
        let input = [start, garbage].concat();
        let (events, rest) = decode(&input, &pieces);
        let yielded: usize = events.iter().map(|event| match event {
            Event::Message(bytes) | Event::Ping(bytes) => bytes.len(),
            Event::Close(_) => 0,
        }).sum();
        let held = rest.ok().and_then(|decoder| decoder.message).map_or(0, |message| message.bytes.capacity());
        prop_assert!(yielded <= input.len());
        prop_assert!(held <= 2 * input.len());
    }
}
