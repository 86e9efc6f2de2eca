use std::time::Duration;

use campanile_common::message::{ConnectRequest, RefreshRequest, SubRefreshRequest, SubscribeRequest};
use campanile_common::{DisconnectCode, ErrorCode};
use serde_json::json;

use super::kit::{Kit, Rules, START, recovered, subscribe, token, token_of, token_until};
use crate::session::{Effect, Joined, Outcome, Output};

fn refresh(token: String) -> RefreshRequest {
    RefreshRequest { token }
}

#[test]
fn a_new_token_moves_the_end() {
    let mut kit = Kit::connected(Rules::default());
    kit.session.timers.ping = None;
    kit.advance(Duration::from_secs(610));
    let later = token_until("anna", None, kit.now + Duration::from_secs(100));
    kit.send(2, refresh(later));
    let result = kit.replies().remove(0).refresh.unwrap();
    assert_eq!(
        (result.expires, result.ttl, result.client.as_str()),
        (true, 100, "client-1")
    );
    kit.advance(Duration::from_secs(124));
    assert!(kit.outputs().is_empty());
    kit.advance(Duration::from_secs(1));
    assert_eq!(kit.closed(), DisconnectCode::Expired.code());
}

#[test]
fn tokens_that_are_refused_close() {
    for (token, code) in [
        (String::new(), DisconnectCode::BadRequest),
        ("forged".into(), DisconnectCode::InvalidToken),
        (token("bert"), DisconnectCode::InvalidToken),
        (token_until("anna", None, START), DisconnectCode::Expired),
        (
            token_of(&json!({"sub": "anna", "channels": ["new"]})),
            DisconnectCode::InsufficientState,
        ),
    ] {
        let mut kit = Kit::connected(Rules::default());
        kit.send(2, refresh(token));
        assert_eq!(kit.closed(), code.code());
    }
}

#[test]
fn a_token_that_takes_a_channel_away_closes() {
    let mut kit = Kit::new(Rules::default());
    let first = token_of(&json!({"sub": "anna", "channels": ["a"]}));
    kit.send(
        1,
        ConnectRequest {
            token: first.clone(),
            ..ConnectRequest::default()
        },
    );
    kit.register();
    let (request, _) = kit.subscribing();
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    kit.outputs();
    kit.send(2, refresh(first));
    assert!(kit.replies().remove(0).refresh.is_some());
    kit.send(3, refresh(token("anna")));
    assert_eq!(kit.closed(), DisconnectCode::InsufficientState.code());
}

#[test]
fn new_info_reaches_presence() {
    let mut kit = Kit::connected(Rules::default());
    kit.subscribed(2, "stream:x");
    kit.subscribed(3, "open");
    kit.send(
        4,
        refresh(token_of(&json!({"sub": "anna", "info": {"mood": "bad"}}))),
    );
    match kit.outputs().as_slice() {
        [Output::Effect(Effect::Enter { channel, info }), Output::Reply(_)] => {
            assert_eq!(channel.as_str(), "stream:x");
            assert_eq!(info.conn_info, r#"{"mood":"bad"}"#);
        }
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn subscriptions_are_renewed_by_their_tokens() {
    let until = |secs| token_until("anna", Some("stream:x"), START + Duration::from_secs(secs));
    let mut kit = Kit::connected(Rules::default());
    kit.session.timers.ping = None;
    kit.send(
        2,
        SubscribeRequest {
            token: until(10),
            ..subscribe("stream:x")
        },
    );
    let (request, _) = kit.subscribing();
    kit.outcome(request, recovered([], 5));
    kit.outputs();
    let renew = |token: String| SubRefreshRequest {
        channel: "stream:x".into(),
        token,
        ..Default::default()
    };
    kit.send(3, renew(until(100)));
    let result = kit.replies().remove(0).sub_refresh.unwrap();
    assert_eq!((result.expires, result.ttl), (true, 100));
    kit.advance(Duration::from_secs(124));
    assert!(kit.outputs().is_empty());
    for (id, token, code) in [
        (4, String::new(), ErrorCode::BadRequest),
        (5, "forged".into(), ErrorCode::PermissionDenied),
        (6, until(10), ErrorCode::TokenExpired),
    ] {
        kit.send(id, renew(token));
        assert_eq!(kit.error(id).code, code.code());
    }
    kit.advance(Duration::from_secs(1));
    assert_eq!(kit.outputs().len(), 2, "ended, and told so");
}

#[test]
fn what_has_no_token_is_not_renewed() {
    let mut kit = Kit::connected(Rules::default());
    let renew = |channel: &str| SubRefreshRequest {
        channel: channel.into(),
        token: token_until("anna", Some(channel), START + Duration::from_secs(60)),
        ..Default::default()
    };
    kit.send(2, renew("open"));
    assert_eq!(
        kit.error(2).code,
        ErrorCode::PermissionDenied.code(),
        "not subscribed"
    );
    kit.subscribed(3, "open");
    kit.send(4, renew("open"));
    assert_eq!(kit.error(4).code, ErrorCode::BadRequest.code());
}
