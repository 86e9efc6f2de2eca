use std::time::Duration;

use campanile_common::message::{ConnectRequest, PingRequest, Reply, SubscribeRequest};
use campanile_common::{Disconnect, DisconnectCode, ErrorCode};
use serde_json::json;

use super::kit::{
    Kit, Rules, START, failed, position, push, recovered, subscribe, token, token_of, token_until,
};
use crate::config::options::{ClientOptions, PersonalChannel};
use crate::session::{Effect, Outcome, Output, Recovery};

fn with_token(token: String) -> ConnectRequest {
    ConnectRequest {
        token,
        ..ConnectRequest::default()
    }
}

#[test]
fn the_answer_says_what_the_client_needs() {
    let mut kit = Kit::new(Rules::default());
    let result = kit.connect(with_token(token("anna")));
    assert_eq!(result.client, "client-1");
    assert_eq!((result.expires, result.ttl), (true, 600));
    assert_eq!((result.ping, result.pong), (25, true));
    assert_eq!(result.time, 0, "the time is told only if asked for");
    assert_eq!(kit.session.user(), "anna");
}

#[test]
fn tokens_are_judged() {
    let past = token_until("anna", None, START);
    let forged = {
        let mut token = token("anna");
        token.pop();
        token + "A"
    };
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.".to_owned();
    let of_a_subscription = token_until("anna", Some("room"), START + Duration::from_secs(60));
    for (token, code) in [
        (forged, DisconnectCode::InvalidToken),
        (none, DisconnectCode::InvalidToken),
        ("no token".into(), DisconnectCode::InvalidToken),
        (of_a_subscription, DisconnectCode::InvalidToken),
    ] {
        let mut kit = Kit::new(Rules::default());
        kit.send(1, with_token(token));
        assert_eq!(kit.closed(), code.code());
    }
    let mut kit = Kit::new(Rules::default());
    kit.send(1, with_token(past));
    assert_eq!(kit.error(1).code, ErrorCode::TokenExpired.code());
    kit.send(2, with_token(token("anna")));
    assert_eq!(
        kit.closed(),
        DisconnectCode::BadRequest.code(),
        "one attempt per connection"
    );
}

#[test]
fn without_a_token_the_options_decide() {
    for (anonymous, insecure, admitted) in [
        (false, false, false),
        (true, false, true),
        (false, true, true),
        (true, true, true),
    ] {
        let mut rules = Rules::default();
        rules.client.allow_anonymous_connect_without_token = anonymous;
        rules.client.insecure = insecure;
        let mut kit = Kit::new(rules);
        kit.send(1, ConnectRequest::default());
        if admitted {
            kit.register();
            assert_eq!(kit.replies().len(), 1);
            assert_eq!(kit.session.user(), "");
        } else {
            assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());
        }
    }
}

#[test]
fn anonymous_tokens_can_be_disallowed() {
    let mut rules = Rules::default();
    rules.client.disallow_anonymous_connection_tokens = true;
    let mut kit = Kit::new(rules);
    kit.send(1, with_token(token("")));
    assert_eq!(kit.closed(), DisconnectCode::PermissionDenied.code());
}

#[test]
fn connecting_comes_first_and_once() {
    let mut kit = Kit::new(Rules::default());
    kit.send(1, PingRequest {});
    assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());

    let mut kit = Kit::connected(Rules::default());
    kit.send(2, with_token(token("anna")));
    assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());
}

#[test]
fn commands_wait_for_the_connect_answer() {
    let mut kit = Kit::new(Rules::default());
    kit.send(1, with_token(token("anna")));
    assert!(!kit.session.accepts_commands());
    kit.register();
    assert!(kit.session.accepts_commands());
}

#[test]
fn a_limit_of_the_registry_closes() {
    let mut kit = Kit::new(Rules::default());
    kit.send(1, with_token(token("anna")));
    let Effect::Register { request, user } = kit.effect() else {
        panic!("not registering");
    };
    assert_eq!(user, "anna");
    let limit = Disconnect::from(DisconnectCode::ConnectionLimit);
    kit.outcome(request, Outcome::Registered(Err(limit)));
    assert_eq!(kit.closed(), DisconnectCode::ConnectionLimit.code());
}

#[test]
fn the_tokens_channels_are_subscribed_before_the_answer() {
    let token = token_of(&json!({
        "sub": "anna",
        "subs": {"stream:a": {"info": {"i": 1}, "data": {"d": 2}}, "b": {"override": {"presence": {"value": true}}}},
    }));
    let mut kit = Kit::new(Rules::default());
    let wanted = SubscribeRequest {
        recover: true,
        epoch: "e1".into(),
        offset: 3,
        ..SubscribeRequest::default()
    };
    kit.send(
        1,
        ConnectRequest {
            token,
            subs: [("stream:a".into(), wanted)].into(),
            ..Default::default()
        },
    );
    kit.register();
    let outputs = kit.outputs();
    let [
        Output::Effect(Effect::Subscribe {
            request: b,
            spec: of_b,
            ..
        }),
        Output::Effect(Effect::Subscribe {
            request: a,
            spec: of_a,
            ..
        }),
    ] = outputs.as_slice()
    else {
        panic!("not both subscribed: {outputs:?}");
    };
    assert!(of_b.presence.is_some() && of_b.recover.is_none());
    assert_eq!(of_a.recover.as_ref().unwrap().position, position(3));

    kit.outcome(*a, recovered([4, 5], 5));
    assert!(
        kit.replies_before_connect().is_empty(),
        "nothing is said before the answer"
    );
    kit.outcome(*b, Outcome::Subscribed(Ok(Default::default())));
    let replies = kit.replies();
    let [
        Reply {
            id: 1,
            connect: Some(result),
            ..
        },
    ] = replies.as_slice()
    else {
        panic!("no answer: {replies:?}");
    };
    let a = result.subscription("stream:a").unwrap();
    assert!(a.was_recovering && a.recovered);
    assert_eq!((a.offset, a.publications.len()), (3, 2));
    assert_eq!(a.data, r#"{"d":2}"#);
    assert!(!result.subscription("b").unwrap().recoverable);
}

impl Kit {
    /// What is sent while the connect command is carried out; announcements are not.
    fn replies_before_connect(&mut self) -> Vec<Output> {
        self.outputs()
            .into_iter()
            .filter(|output| !matches!(output, Output::Effect(Effect::Announce { .. })))
            .collect()
    }
}

#[test]
fn a_client_gets_back_the_channels_that_it_could_subscribe_to_itself() {
    let mut kit = Kit::new(Rules::default());
    let subs = ["open", "closed:x", "nowhere:x", "$private"].map(|name| (name.into(), subscribe(name)));
    kit.send(
        1,
        ConnectRequest {
            token: token("anna"),
            subs: subs.into(),
            ..Default::default()
        },
    );
    kit.register();
    match kit.effect() {
        Effect::Subscribe { channel, .. } => assert_eq!(channel.as_str(), "open"),
        other => panic!("not subscribed: {other:?}"),
    }
}

#[test]
fn too_many_channels_close() {
    let mut rules = Rules::default();
    rules.client.channel_limit = 1;
    let mut kit = Kit::new(rules);
    kit.send(
        1,
        with_token(token_of(&json!({"sub": "anna", "channels": ["a", "b"]}))),
    );
    assert_eq!(kit.closed(), DisconnectCode::ChannelLimit.code());
}

#[test]
fn an_unknown_namespace_in_a_token_is_an_error() {
    let mut kit = Kit::new(Rules::default());
    kit.send(
        1,
        with_token(token_of(&json!({"sub": "anna", "channels": ["nowhere:x"]}))),
    );
    assert_eq!(kit.error(1).code, ErrorCode::UnknownChannel.code());
}

#[test]
fn users_have_a_channel_of_their_own() {
    for (namespace, user, expected) in [
        (None, "anna", Some("#anna")),
        (Some("stream"), "anna", Some("stream:#anna")),
        (None, "", None),
    ] {
        let mut rules = Rules::default();
        let namespace = namespace.map(str::to_owned);
        rules.client = ClientOptions {
            personal_channel: Some(PersonalChannel { namespace }),
            ..rules.client
        };
        let mut kit = Kit::new(rules);
        kit.send(1, with_token(token(user)));
        kit.register();
        let subscribed = kit.outputs().into_iter().find_map(|output| match output {
            Output::Effect(Effect::Subscribe { channel, .. }) => Some(channel.to_string()),
            _ => None,
        });
        assert_eq!(subscribed.as_deref(), expected);
    }
}

#[test]
fn a_shards_trouble_does_not_keep_a_client_out() {
    let mut kit = Kit::new(Rules::default());
    let token = token_of(&json!({"sub": "anna", "channels": ["stream:a"]}));
    let wanted = SubscribeRequest {
        recover: true,
        epoch: "e1".into(),
        offset: 3,
        ..SubscribeRequest::default()
    };
    kit.send(
        1,
        ConnectRequest {
            token,
            subs: [("stream:a".into(), wanted)].into(),
            ..Default::default()
        },
    );
    kit.register();
    let (request, _) = kit.subscribing();
    kit.outcome(request, failed(ErrorCode::Internal));
    let replies = kit.replies();
    assert!(
        replies[0].connect.as_ref().unwrap().subs.is_empty(),
        "connected without it"
    );

    kit.advance(Duration::from_secs(2));
    let (request, spec) = kit.subscribing();
    assert_eq!(
        spec.recover.unwrap().position,
        position(3),
        "what the client had is not forgotten"
    );
    kit.outcome(request, recovered([4], 4));
    let outputs = kit.outputs();
    let subscribed = push(&outputs[..1]).subscribe.expect("told that it is subscribed");
    assert_eq!((subscribed.offset, subscribed.epoch.as_str()), (3, "e1"));
    assert_eq!(
        push(&outputs[1..2])
            .publication
            .expect("what was missed follows")
            .offset,
        4
    );
}

#[test]
fn attempts_become_rarer() {
    let mut kit = Kit::new(Rules::default());
    kit.send(
        1,
        with_token(token_of(&json!({"sub": "anna", "channels": ["a"]}))),
    );
    kit.register();
    let (mut request, _) = kit.subscribing();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        kit.outcome(request, failed(ErrorCode::Internal));
        kit.session.timers.ping = None;
        kit.outputs();
        let begun = kit.now;
        let next = kit.session.next_timeout().unwrap();
        kit.advance(next.saturating_since(begun));
        pauses.push(kit.now.saturating_since(begun));
        (request, _) = kit.subscribing();
    }
    assert!(pauses[0] >= Duration::from_millis(500) && pauses[0] <= Duration::from_millis(1500));
    assert!(
        pauses[7] >= Duration::from_secs(16) && pauses[7] <= Duration::from_secs(48),
        "{pauses:?}"
    );
}

#[test]
fn lost_positions_are_told_with_their_reason() {
    let mut kit = Kit::new(Rules::default());
    let token = token_of(&json!({"sub": "anna", "channels": ["stream:a"]}));
    let wanted = SubscribeRequest {
        recover: true,
        epoch: "e0".into(),
        offset: 3,
        ..SubscribeRequest::default()
    };
    kit.send(
        1,
        ConnectRequest {
            token,
            subs: [("stream:a".into(), wanted)].into(),
            ..Default::default()
        },
    );
    kit.register();
    let (request, _) = kit.subscribing();
    let reason = campanile_shard_router::audience::LossReason::EpochChanged;
    let joined = crate::session::Joined {
        position: Some(position(9)),
        publications: Vec::new(),
        recovery: Recovery::Lost(reason),
        lane: None,
    };
    kit.outcome(request, Outcome::Subscribed(Ok(joined)));
    let output = kit.outputs().into_iter().find_map(|output| match output {
        Output::Reply(reply) => reply.connect,
        _ => None,
    });
    let result = output.as_ref().unwrap().subscription("stream:a").unwrap();
    assert!(result.was_recovering && !result.recovered);
    assert_eq!(
        (result.offset, result.recovery_reason.as_str()),
        (9, "epoch_changed")
    );
}
