use proptest::prelude::*;

use super::*;

fn info() -> ClientInfo {
    ClientInfo {
        user: "ann".to_owned(),
        client: "c-1".to_owned(),
        conn_info: Bytes::from_static(b"{\"n\":1}"),
        chan_info: Bytes::new(),
    }
}

fn some_publication() -> Publication {
    Publication {
        offset: Offset(7),
        data: Bytes::from_static(&[0, 255, 13, 10, 32]),
        info: Some(info()),
        tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        time: Timestamp::from_millis(1_234_567_890_123),
    }
}

fn sent(header: &str, envelope: &[u8]) -> Vec<u8> {
    [header.as_bytes(), envelope].concat()
}

#[test]
fn a_publication_comes_back_with_the_position_before_it() {
    let publication = some_publication();
    let bytes = sent("7 5 e p\u{e9}", &encode_publication(&publication));
    let position = Some(Position::new("e p\u{e9}".into(), Offset(7)));
    assert_eq!(
        decode_message(&bytes),
        Ok(ShardMessage::Publication {
            position,
            publication
        })
    );
}

#[test]
fn without_a_stream_there_is_no_position() {
    let publication = Publication {
        offset: Offset::ZERO,
        info: None,
        ..some_publication()
    };
    let bytes = sent("0 0 ", &encode_publication(&publication));
    assert_eq!(
        decode_message(&bytes),
        Ok(ShardMessage::Publication {
            position: None,
            publication
        })
    );
}

#[test]
fn announcements_and_members_come_back() {
    assert_eq!(
        decode_message(&sent("0 0 ", &encode_join(&info()))),
        Ok(ShardMessage::Join(info()))
    );
    assert_eq!(
        decode_message(&sent("0 0 ", &encode_leave(&info()))),
        Ok(ShardMessage::Leave(info()))
    );
    assert_eq!(decode_member(&encode_member(&info())), Ok(info()));
    assert_eq!(
        decode_message(&sent("0 0 ", &encode_cleared())),
        Ok(ShardMessage::Cleared)
    );
}

#[test]
fn the_stored_form_stays() {
    let bytes = encode_publication(&Publication {
        info: None,
        ..some_publication()
    });
    let expected = [
        &[
            0x93, 1, 0, 0x94, 0xc4, 5, 0, 255, 13, 10, 32, 0xc0, 0x81, 0xa1, b'k', 0xa1, b'v',
        ][..],
        &[0xcf, 0, 0, 1, 0x1f, 0x71, 0xfb, 0x04, 0xcb],
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_newer_version_is_told_from_garbage() {
    let mut newer = encode_publication(&some_publication());
    newer[1] = 2;
    assert_eq!(
        decode_publication(Offset(1), &newer),
        Err(EnvelopeError::Version(2))
    );
    assert_eq!(
        decode_message(&sent("7 0 ", &newer)),
        Err(EnvelopeError::Version(2))
    );
    assert_eq!(
        decode_publication(Offset(1), &[0x92, 2, 0xc0]),
        Err(EnvelopeError::Version(2))
    );
    assert_eq!(
        decode_publication(Offset(1), b"hello"),
        Err(EnvelopeError::Malformed)
    );
    assert_eq!(
        decode_member(&encode_join(&info())),
        Err(EnvelopeError::Malformed)
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_message(&bytes);
        let _ = decode_message(&sent("7 2 ab", &bytes));
        let _ = decode_publication(Offset(1), &bytes);
        let _ = decode_publication(Offset(1), &sent("\u{13}", &bytes));
        let _ = decode_member(&[&[ARRAY_OF_3, VERSION, MEMBER], &bytes[..]].concat());
    }
}
