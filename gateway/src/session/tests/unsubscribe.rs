use campanile_common::message::{PingRequest, Push, Reply, UnsubscribeRequest};
use campanile_common::{DisconnectCode, ErrorCode, UnsubscribeCode};

use super::kit::{Kit, Rules, channel, failed, push, recovered, subscribe, token_of};
use crate::session::{Effect, Joined, Outcome, Output, ServerCommand};

fn unsubscribe(channel: &str) -> UnsubscribeRequest {
    UnsubscribeRequest {
        channel: channel.into(),
    }
}

fn by_server(name: &str) -> ServerCommand {
    ServerCommand::Unsubscribe {
        channel: channel(name),
        unsubscribe: UnsubscribeCode::Server.into(),
    }
}

#[test]
fn everything_is_undone_and_answered() {
    let mut kit = Kit::connected(Rules::default());
    kit.subscribed(2, "stream:x");
    kit.send(3, unsubscribe("stream:x"));
    match kit.outputs().as_slice() {
        [
            Output::Effect(Effect::Unsubscribe {
                presence: true,
                leave: Some(info),
                ..
            }),
            Output::Reply(Reply {
                id: 3,
                unsubscribe: Some(_),
                ..
            }),
        ] => assert_eq!(info.client, "client-1"),
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn it_is_no_error_without_a_subscription() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, unsubscribe("open"));
    assert!(matches!(
        kit.replies().as_slice(),
        [Reply {
            id: 2,
            unsubscribe: Some(_),
            ..
        }]
    ));
}

#[test]
fn in_flight_it_waits_for_what_it_ends() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("stream:x"));
    let (request, _) = kit.subscribing();
    kit.send(3, unsubscribe("stream:x"));
    assert!(kit.outputs().is_empty());
    assert!(!kit.session.accepts_commands(), "nothing may overtake it");
    kit.outcome(request, recovered([], 5));
    match kit.outputs().as_slice() {
        [
            Output::Reply(Reply {
                id: 2,
                subscribe: Some(_),
                ..
            }),
            Output::Effect(Effect::Unsubscribe {
                presence: true,
                leave: None,
                ..
            }),
            Output::Reply(Reply {
                id: 3,
                unsubscribe: Some(_),
                ..
            }),
        ] => {}
        other => panic!("unexpected: {other:?}"),
    }
    assert!(kit.session.accepts_commands());
    kit.send(4, subscribe("stream:x"));
    kit.subscribing();
}

#[test]
fn in_flight_it_is_answered_also_if_there_is_nothing_to_end() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("stream:x"));
    let (request, _) = kit.subscribing();
    kit.send(3, unsubscribe("stream:x"));
    kit.outcome(request, failed(ErrorCode::Internal));
    assert!(matches!(
        kit.replies().as_slice(),
        [
            Reply {
                id: 2,
                error: Some(_),
                ..
            },
            Reply {
                id: 3,
                unsubscribe: Some(_),
                ..
            }
        ]
    ));
}

#[test]
fn the_server_ends_a_subscription_with_a_push() {
    let mut kit = Kit::connected(Rules::default());
    kit.subscribed(2, "open");
    kit.session.handle_server(kit.now, by_server("open"));
    match kit.outputs().as_slice() {
        [
            Output::Effect(Effect::Unsubscribe { .. }),
            Output::Reply(Reply { push: Some(push), .. }),
        ] => {
            let unsubscribe = push.unsubscribe.as_ref().unwrap();
            assert_eq!((push.channel.as_str(), unsubscribe.code), ("open", 2000));
        }
        other => panic!("unexpected: {other:?}"),
    }
    kit.session.handle_server(kit.now, by_server("open"));
    assert!(kit.outputs().is_empty(), "there is nothing left to end");
}

#[test]
fn the_server_ends_what_is_in_flight_when_it_is_made() {
    let mut kit = Kit::connected(Rules::default());
    kit.send(2, subscribe("open"));
    let (request, _) = kit.subscribing();
    kit.session.handle_server(kit.now, by_server("open"));
    assert!(
        kit.session.accepts_commands(),
        "the client need not wait for the server's wishes"
    );
    kit.send(3, PingRequest {});
    assert!(matches!(
        kit.replies().as_slice(),
        [Reply {
            id: 3,
            ping: Some(_),
            ..
        }]
    ));
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    let outputs = kit.outputs();
    assert!(matches!(
        &outputs[0],
        Output::Reply(Reply {
            id: 2,
            subscribe: Some(_),
            ..
        })
    ));
    assert!(matches!(&outputs[1], Output::Effect(Effect::Unsubscribe { .. })));
    assert!(matches!(
        push(&outputs[2..]),
        Push {
            unsubscribe: Some(_),
            ..
        }
    ));
}

#[test]
fn a_loss_concerns_who_has_a_position() {
    let mut kit = Kit::connected(Rules::default());
    kit.subscribed(2, "open");
    kit.subscribed(3, "stream:x");
    kit.session.handle_lost(&channel("open"));
    kit.session.handle_lost(&channel("elsewhere"));
    assert!(kit.outputs().is_empty());
    kit.session.handle_lost(&channel("stream:x"));
    let outputs = kit.outputs();
    assert_eq!(push(&outputs[1..]).unsubscribe.unwrap().code, 2500);
}

#[test]
fn a_loss_of_what_the_server_subscribed_makes_the_client_come_back() {
    let mut kit = Kit::new(Rules::default());
    let token = token_of(&serde_json::json!({"sub": "anna", "channels": ["stream:x"]}));
    kit.send(
        1,
        campanile_common::message::ConnectRequest {
            token,
            ..Default::default()
        },
    );
    kit.register();
    let (request, _) = kit.subscribing();
    kit.outcome(request, recovered([], 5));
    kit.outputs();
    kit.session.handle_lost(&channel("stream:x"));
    let outputs = kit.outputs();
    assert!(
        matches!(&outputs[0], Output::Close(disconnect) if disconnect.code == DisconnectCode::InsufficientState.code())
    );
    assert!(matches!(
        &outputs[1],
        Output::Effect(Effect::Unsubscribe { leave: Some(_), .. })
    ));
}
