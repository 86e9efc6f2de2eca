use std::collections::HashSet;

use super::*;

#[test]
fn numbers_and_texts_are_those_of_the_protocol() {
    let errors: Vec<_> = ErrorCode::ALL.into_iter().map(ErrorCode::code).collect();
    assert_eq!(errors, (100..=113).collect::<Vec<_>>());
    let temporary: Vec<_> = ErrorCode::ALL
        .into_iter()
        .filter(|code| code.temporary())
        .map(ErrorCode::code)
        .collect();
    assert_eq!(temporary, [100, 111, 113]);
    assert_eq!(ErrorCode::TokenExpired.to_string(), "token expired (109)");

    let unsubscribes: Vec<_> = UnsubscribeCode::ALL
        .into_iter()
        .map(UnsubscribeCode::code)
        .collect();
    assert_eq!(unsubscribes, [2000, 2500, 2501, 2502]);

    let disconnects: Vec<_> = DisconnectCode::ALL
        .into_iter()
        .map(DisconnectCode::code)
        .collect();
    let early = [
        3000, 3001, 3004, 3005, 3006, 3008, 3009, 3010, 3011, 3012, 3013, 3014,
    ];
    assert_eq!(
        disconnects,
        early.into_iter().chain(3500..=3509).collect::<Vec<_>>()
    );
    assert_eq!(DisconnectCode::NoPong.to_string(), "no pong (3012)");
}

#[test]
fn only_insufficient_state_expiry_and_invalidation_lead_back_to_a_channel() {
    let back: Vec<_> = UnsubscribeCode::ALL
        .into_iter()
        .filter(|code| code.resubscribes())
        .collect();
    assert_eq!(
        back,
        [
            UnsubscribeCode::InsufficientState,
            UnsubscribeCode::Expired,
            UnsubscribeCode::StateInvalidated
        ]
    );
}

#[test]
fn the_range_says_whether_the_client_comes_back() {
    for (code, reconnects) in [
        (3000, true),
        (3499, true),
        (3500, false),
        (3999, false),
        (4000, true),
        (4499, true),
        (4500, false),
        (4999, false),
    ] {
        assert_eq!(Disconnect::new(code, "").reconnects(), reconnects, "{code}");
    }
    for code in DisconnectCode::ALL {
        let disconnect = Disconnect::from(code);
        assert_eq!(disconnect.reconnects(), code.reconnects(), "{code}");
        assert_eq!(disconnect.well_known(), Some(code));
    }
    assert_eq!(Disconnect::new(4001, "of the application").well_known(), None);
}

#[test]
fn labels_are_distinct() {
    let labels: HashSet<_> = DisconnectCode::ALL
        .into_iter()
        .map(DisconnectCode::label)
        .collect();
    assert_eq!(labels.len(), DisconnectCode::ALL.len());
    assert!(labels.iter().all(|label| {
        label
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    }));
}
