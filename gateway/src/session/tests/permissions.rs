use std::time::Duration;

use campanile_common::ErrorCode;
use campanile_common::message::{
    ConnectRequest, HistoryRequest, PresenceRequest, PresenceStatsRequest, PublishRequest, Request,
    SubscribeRequest,
};
use serde_json::json;

use super::kit::{Kit, Rules, START, subscribe, token, token_of, token_until};
use crate::config::options::Allow;
use crate::session::permissions::allows;
use crate::session::{Effect, Output};

#[test]
fn permissions_by_kind_of_client() {
    let allow = |client, subscriber, anonymous| Allow {
        client,
        subscriber,
        anonymous,
    };
    // (rule; with a user: not subscribed, subscribed; anonymous: not subscribed, subscribed)
    for (rule, expected) in [
        (allow(false, false, false), [false, false, false, false]),
        (allow(true, false, false), [true, true, false, false]),
        (allow(false, true, false), [false, true, false, false]),
        (allow(false, false, true), [false, false, true, true]),
        (allow(true, false, true), [true, true, true, true]),
        (allow(false, true, true), [false, true, false, true]),
        (allow(true, true, true), [true, true, true, true]),
    ] {
        let found = [("anna", false), ("anna", true), ("", false), ("", true)]
            .map(|(user, subscribed)| allows(rule, user, subscribed));
        assert_eq!(found, expected, "{rule:?}");
    }
}

/// What comes of a subscribe request: an error, or nothing if the client is being subscribed.
fn verdict(rules: Rules, user: &str, request: SubscribeRequest) -> Option<u32> {
    let mut kit = Kit::new(rules);
    kit.connect(ConnectRequest {
        token: token(user),
        ..ConnectRequest::default()
    });
    kit.send(2, request);
    match kit.outputs().as_slice() {
        [Output::Effect(Effect::Subscribe { .. })] => None,
        [Output::Reply(reply)] => Some(reply.error.as_ref().unwrap().code),
        other => panic!("unexpected: {other:?}"),
    }
}

fn with_token(channel: &str, token: String) -> SubscribeRequest {
    SubscribeRequest {
        token,
        ..subscribe(channel)
    }
}

#[test]
fn who_may_subscribe() {
    let soon = START + Duration::from_secs(60);
    let token_for = |user, channel| with_token("closed:x", token_until(user, Some(channel), soon));
    let of_client = |client: &str| {
        with_token(
            "closed:x",
            token_of(&json!({"sub": "anna", "channel": "closed:x", "client": client})),
        )
    };
    let denied = Some(ErrorCode::PermissionDenied.code());
    for (user, request, expected) in [
        ("anna", subscribe("open"), None),
        ("", subscribe("open"), denied),
        ("anna", subscribe("closed:x"), denied),
        (
            "anna",
            subscribe("nowhere:x"),
            Some(ErrorCode::UnknownChannel.code()),
        ),
        (
            "anna",
            subscribe(&"x".repeat(256)),
            Some(ErrorCode::BadRequest.code()),
        ),
        ("anna", subscribe("$open"), denied),
        ("anna", token_for("anna", "closed:x"), None),
        ("anna", token_for("bert", "closed:x"), denied),
        ("anna", token_for("anna", "closed:y"), denied),
        ("anna", of_client("client-1"), None),
        ("anna", of_client("client-2"), denied),
        ("anna", with_token("open", "forged".into()), denied),
        ("anna", with_token("open", token("anna")), denied),
        (
            "anna",
            with_token("open", token_until("anna", Some("open"), START)),
            Some(ErrorCode::TokenExpired.code()),
        ),
        (
            "anna",
            with_token(
                "open",
                token_of(&json!({"sub": "anna", "channel": "open", "expire_at": 1})),
            ),
            Some(ErrorCode::Expired.code()),
        ),
        (
            "anna",
            SubscribeRequest {
                kind: 1,
                ..subscribe("open")
            },
            Some(ErrorCode::NotAvailable.code()),
        ),
        (
            "anna",
            SubscribeRequest {
                tf: Some(Default::default()),
                ..subscribe("open")
            },
            Some(107),
        ),
    ] {
        let channel = request.channel.clone();
        assert_eq!(
            verdict(Rules::default(), user, request),
            expected,
            "{user} in {channel}"
        );
    }
}

#[test]
fn channels_can_be_limited_to_users() {
    let denied = Some(ErrorCode::PermissionDenied.code());
    for (limited, user, name, expected) in [
        (true, "anna", "closed:x#anna,bert", None),
        (true, "carl", "closed:x#anna,bert", denied),
        (true, "", "closed:x#", denied),
        (false, "anna", "closed:x#anna", denied),
    ] {
        let mut rules = Rules::default();
        rules.namespace("closed").allow_user_limited_channels = limited;
        assert_eq!(
            verdict(rules, user, subscribe(name)),
            expected,
            "{user} in {name}"
        );
    }
    // The list decides alone, also where everybody may subscribe.
    let mut rules = Rules::default();
    rules.channels.without_namespace.allow_user_limited_channels = true;
    assert_eq!(verdict(rules, "carl", subscribe("x#anna")), denied);
}

#[test]
fn insecure_switches_the_checks_off() {
    for name in ["open", "closed:x", "$open"] {
        let mut rules = Rules::default();
        rules.client.insecure = true;
        assert_eq!(verdict(rules, "", subscribe(name)), None, "{name}");
    }
}

#[test]
fn what_a_namespace_does_not_have_is_not_available_and_the_rest_needs_permission() {
    let in_channel = |channel: &str| -> [Request; 4] {
        let channel = channel.to_owned();
        [
            PublishRequest {
                channel: channel.clone(),
                data: "{}".into(),
                ..Default::default()
            }
            .into(),
            PresenceRequest {
                channel: channel.clone(),
            }
            .into(),
            PresenceStatsRequest {
                channel: channel.clone(),
            }
            .into(),
            HistoryRequest {
                channel,
                ..Default::default()
            }
            .into(),
        ]
    };
    let (ok, denied, unavailable) = (0, 103, 108);
    for (channel, expected) in [
        ("open", [ok, unavailable, unavailable, unavailable]),
        ("stream:x", [ok, ok, ok, ok]),
        ("closed:x", [denied, denied, denied, unavailable]),
        ("nowhere:x", [102, 102, 102, 102]),
    ] {
        let mut kit = Kit::connected(Rules::default());
        for (request, code) in in_channel(channel).into_iter().zip(expected) {
            let name = request.name();
            kit.send(2, request);
            let found = match kit.outputs().as_slice() {
                [Output::Effect(_)] => 0,
                [Output::Reply(reply)] => reply.error.as_ref().unwrap().code,
                other => panic!("unexpected: {other:?}"),
            };
            assert_eq!(found, code, "{name} in {channel}");
        }
    }
}
