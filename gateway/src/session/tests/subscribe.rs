use std::time::Duration;

use campanile_common::message::{ConnectRequest, Reply, SubscribeRequest};
use campanile_common::{DisconnectCode, ErrorCode};
use campanile_shard_router::audience::LossReason;
use campanile_shard_router::shard::Announcement;
use serde_json::json;

use super::kit::{
    Kit, Rules, START, channel, failed, position, recovered, subscribe, subscribe_result, token, token_of,
    token_until,
};
use crate::config::options::{Allow, RecoveryMode};
use crate::session::{Effect, Joined, Outcome, Output, Recovery};

fn recovering(name: &str, offset: u64) -> SubscribeRequest {
    SubscribeRequest {
        recover: true,
        epoch: "e1".into(),
        offset,
        ..subscribe(name)
    }
}

#[test]
fn the_effect_says_how_and_the_reply_what_came_of_it() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("stream:x"));
    let (request, spec) = kit.subscribing();
    assert!(spec.positioned && spec.recover.is_none());
    assert_eq!(spec.presence.as_ref().unwrap().user, "anna");
    let joined = Joined {
        position: Some(position(7)),
        ..Joined::default()
    };
    kit.outcome(request, Outcome::Subscribed(Ok(joined)));
    let outputs = kit.outputs();
    let result = subscribe_result(&outputs);
    assert!(result.recoverable && result.positioned && !result.was_recovering && !result.recovered);
    assert_eq!(
        (
            result.offset,
            result.epoch.as_str(),
            result.recovery_reason.as_str()
        ),
        (7, "e1", "")
    );
    match &outputs[1] {
        Output::Effect(Effect::Announce { announcement, .. }) => {
            assert!(matches!(&**announcement, Announcement::Join(info) if info.client == "client-1"));
        }
        other => panic!("not announced: {other:?}"),
    }
}

#[test]
fn what_was_missed_comes_with_the_reply() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, recovering("stream:x", 3));
    let (request, spec) = kit.subscribing();
    assert_eq!(spec.recover.unwrap().position, position(3));
    kit.outcome(request, recovered([4, 5], 5));
    let result = subscribe_result(&kit.outputs());
    assert!(result.was_recovering && result.recovered);
    assert_eq!(result.offset, 3, "the client counts on from where it was");
    let offsets: Vec<_> = result
        .publications
        .iter()
        .map(|publication| publication.offset)
        .collect();
    assert_eq!(offsets, [4, 5]);
}

#[test]
fn a_hole_is_told_with_its_reason() {
    for reason in LossReason::ALL {
        let mut kit = Kit::connected(Rules::default());
        kit.send(2, recovering("stream:x", 3));
        let (request, _) = kit.subscribing();
        let joined = Joined {
            position: Some(position(9)),
            publications: Vec::new(),
            recovery: Recovery::Lost(reason),
            lane: None,
        };
        kit.outcome(request, Outcome::Subscribed(Ok(joined)));
        let result = subscribe_result(&kit.outputs());
        assert!(result.was_recovering && !result.recovered && result.publications.is_empty());
        assert_eq!(
            (result.offset, result.recovery_reason.as_str()),
            (9, reason.label())
        );
    }
}

#[test]
fn a_channel_without_a_stream_recovers_nothing() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(
        2,
        SubscribeRequest {
            recoverable: true,
            positioned: true,
            ..recovering("open", 3)
        },
    );
    let (request, spec) = kit.subscribing();
    assert!(!spec.positioned && spec.recover.is_none() && spec.stream.is_none());
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    let result = subscribe_result(&kit.outputs());
    assert!(result.was_recovering && !result.recovered && !result.recoverable);
    assert_eq!(result.recovery_reason, "not_recoverable");
}

#[test]
fn a_client_may_rather_fail_than_miss_something() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(
        2,
        SubscribeRequest {
            flag: 2,
            ..recovering("stream:x", 3)
        },
    );
    let (request, _) = kit.subscribing();
    let joined = Joined {
        recovery: Recovery::Lost(LossReason::EpochChanged),
        ..Joined::default()
    };
    kit.outcome(request, Outcome::Subscribed(Ok(joined)));
    match kit.outputs().as_slice() {
        [
            Output::Reply(reply),
            Output::Effect(Effect::Unsubscribe {
                presence: true,
                leave: None,
                ..
            }),
        ] => {
            assert_eq!(
                reply.error.as_ref().unwrap().code,
                ErrorCode::UnrecoverablePosition.code()
            );
        }
        other => panic!("unexpected: {other:?}"),
    }
    kit.send(3, subscribe("stream:x"));
    kit.subscribing();
}

#[test]
fn the_client_may_ask_for_more_than_the_namespace_forces() {
    let allowed = |history: bool, positioning: bool, recovery: bool| {
        let mut rules = Rules::default();
        let stream = rules.namespace("stream");
        stream.force_recovery = false;
        stream.allow_positioning = positioning;
        stream.allow_recovery = recovery;
        stream.allow_history = Allow {
            subscriber: history,
            ..Allow::default()
        };
        let mut kit = Kit::connected(rules);
        kit.send(
            2,
            SubscribeRequest {
                positioned: true,
                recoverable: true,
                ..subscribe("stream:x")
            },
        );
        let (request, spec) = kit.subscribing();
        kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
        (spec.positioned, subscribe_result(&kit.outputs()).recoverable)
    };
    assert_eq!(allowed(false, false, false), (false, false));
    assert_eq!(allowed(false, true, false), (true, false));
    assert_eq!(
        allowed(false, false, true),
        (true, true),
        "recovery needs a position"
    );
    assert_eq!(
        allowed(true, false, false),
        (true, true),
        "who may read the history may recover from it"
    );
}

#[test]
fn join_and_leave_come_to_who_may_see_presence() {
    let wants = |asks: bool, forced: bool, announced: bool, sees: bool| {
        let mut rules = Rules::default();
        let stream = rules.namespace("stream");
        stream.force_push_join_leave = forced;
        stream.join_leave = announced;
        stream.allow_presence = Allow {
            client: sees,
            ..Allow::default()
        };
        let mut kit = Kit::connected(rules);
        kit.send(
            2,
            SubscribeRequest {
                join_leave: asks,
                ..subscribe("stream:x")
            },
        );
        kit.subscribing().1.wants_join_leave
    };
    assert!(wants(true, false, true, true));
    assert!(!wants(false, false, true, true));
    assert!(!wants(true, false, false, true));
    assert!(!wants(true, false, true, false));
    assert!(wants(false, true, true, false));
}

#[test]
fn cache_mode_is_passed_on() {
    let mut rules = Rules::default();
    rules.namespace("stream").recovery_mode = RecoveryMode::Cache;
    let mut kit = Kit::connected(rules);
    kit.send(
        2,
        SubscribeRequest {
            recover: true,
            ..subscribe("stream:x")
        },
    );
    let (request, spec) = kit.subscribing();
    assert_eq!(spec.recover.unwrap().mode, RecoveryMode::Cache);
    kit.outcome(request, recovered([9], 9));
    let result = subscribe_result(&kit.outputs());
    assert_eq!(
        (result.recovered, result.offset, result.publications[0].offset),
        (true, 0, 9)
    );
}

#[test]
fn tokens_bring_info_data_expiry_and_exceptions() {
    let mut kit = Kit::connected(Rules::default());
    let token = token_of(&json!({
        "sub": "anna", "channel": "stream:x", "exp": START.as_secs() + 60, "b64info": "aGk=", "data": [1, 2],
        "override": {"presence": {"value": false}, "force_recovery": {"value": false}, "join_leave": {"value": false}},
    }));
    kit.send(
        2,
        SubscribeRequest {
            token,
            ..subscribe("stream:x")
        },
    );
    let (request, spec) = kit.subscribing();
    assert!(spec.presence.is_none() && !spec.positioned);
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    let outputs = kit.outputs();
    let result = subscribe_result(&outputs);
    assert_eq!(outputs.len(), 1, "not announced");
    assert_eq!(
        (result.expires, result.ttl, &result.data[..]),
        (true, 60, &b"[1,2]"[..])
    );
}

#[test]
fn a_channel_is_subscribed_once() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("open"));
    let (request, _) = kit.subscribing();
    kit.send(3, subscribe("open"));
    assert_eq!(kit.error(3).code, ErrorCode::AlreadySubscribed.code());
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    kit.outputs();
    kit.send(4, subscribe("open"));
    assert_eq!(kit.error(4).code, ErrorCode::AlreadySubscribed.code());
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("stream:x"));
    let (request, _) = kit.subscribing();
    kit.outcome(request, failed(ErrorCode::Internal));
    let error = kit.error(2);
    assert_eq!((error.code, error.temporary), (100, true));
    kit.send(3, subscribe("stream:x"));
    kit.subscribing();
}

#[test]
fn channels_are_limited() {
    let mut rules = Rules::default();
    rules.client.channel_limit = 2;
    let mut kit = Kit::connected(rules);
    kit.subscribed(2, "a");
    kit.send(3, subscribe("b"));
    kit.subscribing();
    kit.send(4, subscribe("c"));
    assert_eq!(kit.error(4).code, ErrorCode::LimitExceeded.code());
}

#[test]
fn requests_in_flight_are_limited() {
    let mut rules = Rules::default();
    rules.client.in_flight_limit = 2;
    let mut kit = Kit::connected(rules);
    kit.send(2, subscribe("a"));
    let (request, _) = kit.subscribing();
    assert!(kit.session.accepts_commands());
    kit.send(3, subscribe("b"));
    kit.subscribing();
    assert!(!kit.session.accepts_commands());
    kit.send(4, subscribe("c"));
    assert_eq!(
        kit.error(4).code,
        ErrorCode::TooManyRequests.code(),
        "a driver that does not heed it"
    );
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    assert!(kit.session.accepts_commands());
}

#[test]
fn a_subscription_made_after_the_end_is_undone() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("stream:x"));
    let (request, _) = kit.subscribing();
    kit.session.handle_closed();
    assert!(kit.outputs().is_empty(), "there is nothing to undo yet");
    kit.outcome(request, recovered([], 5));
    match kit.effect() {
        Effect::Unsubscribe {
            channel: found,
            presence: true,
            leave: None,
        } => assert_eq!(found, channel("stream:x")),
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn a_channel_must_be_named() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe(""));
    assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());
}

#[test]
fn an_expired_subscription_ends() {
    let mut kit = Kit::connected(Rules::default());
    let token = token_until("anna", Some("closed:x"), START + Duration::from_secs(10));
    kit.send(
        2,
        SubscribeRequest {
            token,
            ..subscribe("closed:x")
        },
    );
    let (request, _) = kit.subscribing();
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    kit.outputs();
    kit.session.timers.ping = None;
    kit.advance(Duration::from_secs(34));
    assert!(kit.outputs().is_empty(), "the client has time to renew it");
    kit.advance(Duration::from_secs(1));
    match kit.outputs().as_slice() {
        [
            Output::Effect(Effect::Unsubscribe { .. }),
            Output::Reply(Reply { push: Some(push), .. }),
        ] => {
            assert_eq!(push.unsubscribe.as_ref().unwrap().code, 2501);
        }
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn anonymous_clients_subscribe_where_they_may() {
    let mut rules = Rules::default();
    rules.namespace("closed").allow_subscribe = Allow {
        anonymous: true,
        ..Allow::default()
    };
    let mut kit = Kit::new(rules);
    kit.connect(ConnectRequest {
        token: token(""),
        ..ConnectRequest::default()
    });
    kit.send(2, subscribe("closed:x"));
    kit.subscribing();
}
