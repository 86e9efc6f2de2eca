use campanile_common::message::{PublishRequest, RPCRequest, Reply, SendRequest, SubscribeRequest};
use campanile_common::{DisconnectCode, ErrorCode};
use serde_json::json;

use super::kit::{Kit, Rules, subscribe, token_of};
use crate::config::options::PublicationFormat;
use crate::session::publish::fits;
use crate::session::{Effect, Joined, Outcome};

fn publish(channel: &str) -> PublishRequest {
    PublishRequest {
        channel: channel.into(),
        data: "{}".into(),
        ..PublishRequest::default()
    }
}

#[test]
fn it_says_who_publishes_and_is_answered() {
    let mut kit = Kit::connected(Rules::default());
    let token = token_of(&json!({"sub": "anna", "channel": "stream:x", "info": {"mood": "good"}}));
    kit.send(
        2,
        SubscribeRequest {
            token,
            ..subscribe("stream:x")
        },
    );
    let (request, _) = kit.subscribing();
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    kit.outputs();
    for (id, outcome) in [(3, Ok(())), (4, Err(ErrorCode::Internal))] {
        kit.send(id, publish("stream:x"));
        let Effect::Publish { request, spec, .. } = kit.effect() else {
            panic!("not published");
        };
        assert_eq!(
            (spec.info.user.as_str(), &spec.info.chan_info[..]),
            ("anna", &br#"{"mood":"good"}"#[..])
        );
        assert!(spec.stream.is_some());
        kit.outcome(request, Outcome::Published(outcome));
        let replies = kit.replies();
        assert_eq!(
            (replies[0].id, replies[0].publish.is_some()),
            (id, outcome.is_ok())
        );
    }
}

#[test]
fn payloads_have_the_form_that_the_namespace_asks_for() {
    use PublicationFormat::{Binary, Json, JsonObject, NotEmpty};
    let payloads: [&[u8]; 5] = [b"", b"\xff", b"[1]", b" {\"a\":1}", b"{"];
    for (format, expected) in [
        (NotEmpty, [false, true, true, true, true]),
        (Json, [false, false, true, true, false]),
        (JsonObject, [false, false, false, true, false]),
        (Binary, [true, true, true, true, true]),
    ] {
        assert_eq!(payloads.map(|data| fits(format, data)), expected, "{format:?}");
    }
    let mut kit = Kit::connected(Rules::default());
    kit.send(
        2,
        PublishRequest {
            data: Default::default(),
            ..publish("open")
        },
    );
    assert_eq!(kit.error(2).code, ErrorCode::BadRequest.code());
}

#[test]
fn nobody_listens_to_calls_and_messages() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(
        2,
        RPCRequest {
            method: "x".into(),
            ..RPCRequest::default()
        },
    );
    assert_eq!(kit.error(2).code, ErrorCode::MethodNotFound.code());
    kit.send(0, SendRequest::default());
    assert_eq!(kit.closed(), DisconnectCode::NotAvailable.code());
}

#[test]
fn an_answer_after_the_end_is_for_nobody() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, publish("open"));
    let Effect::Publish { request, .. } = kit.effect() else {
        panic!("not published");
    };
    kit.session.handle_closed();
    kit.outcome(request, Outcome::Published(Ok(())));
    assert_eq!(kit.replies(), [] as [Reply; 0]);
}
