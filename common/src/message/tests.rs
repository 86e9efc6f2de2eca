//! What messages offer beside their fields.

use super::*;
use crate::code::{Disconnect as End, DisconnectCode, ErrorCode, UnsubscribeCode};
use crate::{Epoch, Offset, Position};

#[test]
fn a_command_yields_its_one_request() {
    let request = PublishRequest {
        channel: "c".into(),
        data: "1".into(),
        ..Default::default()
    };
    let command = Command::new(4, request.clone());
    assert_eq!(command.into_request(), Ok((4, Some(Request::Publish(request)))));
    assert_eq!(Command::default().into_request(), Ok((0, None)));
    assert_eq!(
        Command {
            id: 3,
            ..Default::default()
        }
        .into_request(),
        Ok((3, None))
    );
}

#[test]
fn two_requests_in_one_command_are_refused() {
    let mut command = Command::new(9, PingRequest {});
    command.connect = Some(Box::default());
    assert_eq!(command.into_request(), Err(TwoRequests { id: 9 }));
}

#[test]
fn only_an_empty_command_is_a_pong() {
    assert!(Command::default().is_pong());
    assert!(
        !Command {
            id: 1,
            ..Default::default()
        }
        .is_pong()
    );
    assert!(!Command::new(0, PingRequest {}).is_pong());
}

#[test]
fn requests_are_named_as_on_the_wire() {
    let requests: [Request; 12] = [
        ConnectRequest::default().into(),
        SubscribeRequest::default().into(),
        UnsubscribeRequest::default().into(),
        PublishRequest::default().into(),
        PresenceRequest::default().into(),
        PresenceStatsRequest::default().into(),
        HistoryRequest::default().into(),
        PingRequest::default().into(),
        SendRequest::default().into(),
        RPCRequest::default().into(),
        RefreshRequest::default().into(),
        SubRefreshRequest::default().into(),
    ];
    for request in requests {
        let name = request.name();
        let json = serde_json::to_string(&Command::new(0, request.clone())).unwrap();
        assert_eq!(json, format!("{{\"{name}\":{{}}}}"));
        assert_eq!(
            Command::new(1, request.clone()).into_request(),
            Ok((1, Some(request)))
        );
    }
}

#[test]
fn answers_stand_in_their_own_field() {
    let answers: [(Answer, &str); 11] = [
        (ConnectResult::default().into(), "connect"),
        (SubscribeResult::default().into(), "subscribe"),
        (UnsubscribeResult::default().into(), "unsubscribe"),
        (PublishResult::default().into(), "publish"),
        (PresenceResult::default().into(), "presence"),
        (PresenceStatsResult::default().into(), "presence_stats"),
        (HistoryResult::default().into(), "history"),
        (PingResult::default().into(), "ping"),
        (RPCResult::default().into(), "rpc"),
        (RefreshResult::default().into(), "refresh"),
        (SubRefreshResult::default().into(), "sub_refresh"),
    ];
    for (answer, name) in answers {
        let json = serde_json::to_string(&Reply::answer(1, answer)).unwrap();
        assert_eq!(json, format!("{{\"id\":1,\"{name}\":{{}}}}"));
    }
}

#[test]
fn codes_become_messages() {
    let error = Error::from(ErrorCode::TooManyRequests);
    assert_eq!(
        (error.code, &*error.message, error.temporary),
        (111, "too many requests", true)
    );
    let push = Push::unsubscribe("c", UnsubscribeCode::InsufficientState);
    assert_eq!(push.unsubscribe.unwrap().code, 2500);
    let push = Push::disconnect(End::from(DisconnectCode::Stale));
    let disconnect = push.disconnect.unwrap();
    assert_eq!((disconnect.code, disconnect.reconnect), (3502, false));
}

#[test]
fn positions_keep_their_parts_over_the_wire() {
    let position = Position::new(Epoch::new("e"), Offset(u64::MAX));
    assert_eq!(Position::from(StreamPosition::from(position.clone())), position);
}

#[test]
fn waiting_messages_are_small() {
    // Outbound queues and session effects hold these by value: a field added unboxed shows here.
    assert!(size_of::<Command>() <= 256, "{}", size_of::<Command>());
    assert!(size_of::<Reply>() <= 144, "{}", size_of::<Reply>());
    assert!(size_of::<Push>() <= 128, "{}", size_of::<Push>());
}

#[test]
fn tokens_and_headers_do_not_show() {
    let token = || "hush".to_owned();
    let subscribe = SubscribeRequest {
        token: token(),
        ..Default::default()
    };
    let connect = ConnectRequest {
        token: token(),
        headers: [("authorization".to_owned(), token())].into(),
        subs: [("channel".to_owned(), subscribe.clone())].into(),
        ..Default::default()
    };
    let sub_refresh = SubRefreshRequest {
        token: token(),
        ..Default::default()
    };
    for request in [
        Request::from(connect),
        subscribe.into(),
        RefreshRequest { token: token() }.into(),
        sub_refresh.into(),
    ] {
        let shown = format!("{request:?} {:?}", Command::new(1, request.clone()));
        assert!(shown.contains("(secret)") && !shown.contains("hush"), "{shown}");
    }
}
