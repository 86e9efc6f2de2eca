use std::time::Duration;

use campanile_common::message::{ConnectRequest, PublishRequest, UnsubscribeRequest};
use campanile_common::{Disconnect, DisconnectCode, UnsubscribeCode};
use serde_json::json;

use super::kit::{Kit, Rules, START, channel, position, push, recovered, subscribe, token_of};
use crate::session::{
    Effect, Joined, Outcome, Output, ServerCommand, ServerRefresh, ServerSubscribe, SubscriptionSettings,
};

fn subscribe_to(name: &str) -> ServerCommand {
    let settings = SubscriptionSettings {
        data: "{}".into(),
        ..SubscriptionSettings::default()
    };
    ServerCommand::Subscribe(Box::new(ServerSubscribe {
        channel: channel(name),
        settings,
        recover_since: None,
    }))
}

impl Kit {
    fn server(&mut self, command: ServerCommand) {
        self.session.handle_server(self.now, command);
    }
}

#[test]
fn a_subscription_is_pushed_when_it_is_made() {
    let mut kit = Kit::connected(Rules::default());
    kit.server(subscribe_to("closed:x"));
    let (request, spec) = kit.subscribing();
    assert!(spec.presence.is_some());
    kit.server(subscribe_to("closed:x"));
    assert!(kit.outputs().is_empty(), "once is enough");
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    let subscribed = push(&kit.outputs());
    assert_eq!(
        (
            subscribed.channel.as_str(),
            &subscribed.subscribe.unwrap().data[..]
        ),
        ("closed:x", &b"{}"[..])
    );
    kit.send(2, subscribe("closed:x"));
    assert_eq!(kit.error(2).code, 105);
    kit.send(
        3,
        UnsubscribeRequest {
            channel: "closed:x".into(),
        },
    );
    assert_eq!(kit.outputs().len(), 2);
}

#[test]
fn what_was_missed_follows_the_push() {
    let mut kit = Kit::connected(Rules::default());
    let subscribe = ServerSubscribe {
        channel: channel("stream:x"),
        settings: SubscriptionSettings::default(),
        recover_since: Some(position(3)),
    };
    kit.server(ServerCommand::Subscribe(Box::new(subscribe)));
    let (request, spec) = kit.subscribing();
    assert_eq!(spec.recover.unwrap().position, position(3));
    kit.outcome(request, recovered([4, 5], 5));
    let outputs = kit.outputs();
    assert_eq!(push(&outputs[..1]).subscribe.unwrap().offset, 3);
    assert_eq!(push(&outputs[2..3]).publication.unwrap().offset, 5);
}

#[test]
fn too_many_channels_close() {
    let mut rules = Rules::default();
    rules.client.channel_limit = 1;
    let mut kit = Kit::connected(rules);
    kit.subscribed(2, "a");
    kit.server(subscribe_to("b"));
    assert_eq!(kit.closed(), DisconnectCode::ChannelLimit.code());
}

#[test]
fn while_connecting_it_becomes_a_part_of_the_answer() {
    let mut kit = Kit::new(Rules::default());
    let token = token_of(&json!({"sub": "anna", "channels": ["a"]}));
    kit.send(
        1,
        ConnectRequest {
            token,
            ..ConnectRequest::default()
        },
    );
    kit.register();
    let (of_token, _) = kit.subscribing();
    kit.server(subscribe_to("b"));
    let (of_server, _) = kit.subscribing();
    kit.server(ServerCommand::Unsubscribe {
        channel: channel("a"),
        unsubscribe: UnsubscribeCode::Server.into(),
    });
    kit.outcome(of_server, Outcome::Subscribed(Ok(Joined::default())));
    assert!(kit.outputs().is_empty(), "nothing is said before the answer");
    kit.outcome(of_token, Outcome::Subscribed(Ok(Joined::default())));
    match kit.outputs().as_slice() {
        [
            Output::Effect(Effect::Unsubscribe { channel, .. }),
            Output::Reply(reply),
        ] => {
            assert_eq!(channel.as_str(), "a");
            assert!(
                reply
                    .connect
                    .as_ref()
                    .unwrap()
                    .subs
                    .iter()
                    .map(|entry| entry.channel.as_str())
                    .eq(["b"])
            );
        }
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn it_can_be_closed_at_any_time() {
    let forced = || ServerCommand::Disconnect(Disconnect::new(4001, "go away"));
    let mut kit = Kit::new(Rules::default());
    kit.server(forced());
    assert_eq!(kit.closed(), 4001);
    let mut kit = Kit::connected(Rules::default());
    kit.subscribed(2, "stream:x");
    kit.server(forced());
    kit.server(forced());
    match kit.outputs().as_slice() {
        [
            Output::Close(disconnect),
            Output::Effect(Effect::Unsubscribe { leave: Some(_), .. }),
        ] => {
            assert_eq!((disconnect.code, &*disconnect.reason), (4001, "go away"));
        }
        other => panic!("unexpected: {other:?}"),
    }
    assert_eq!(kit.session.next_timeout(), None);
}

#[test]
fn it_can_be_refreshed() {
    let mut kit = Kit::connected(Rules::default());
    let expires_at = Some(START + Duration::from_secs(50));
    kit.server(ServerCommand::Refresh(ServerRefresh {
        expires_at,
        ..ServerRefresh::default()
    }));
    let refresh = push(&kit.outputs()).refresh.unwrap();
    assert_eq!((refresh.expires, refresh.ttl), (true, 50));
    assert_eq!(kit.session.timers.expired, Some(START + Duration::from_secs(75)));
    kit.server(ServerCommand::Refresh(ServerRefresh::default()));
    assert!(!push(&kit.outputs()).refresh.unwrap().expires);
    assert_eq!(kit.session.timers.expired, None);
    kit.server(ServerCommand::Refresh(ServerRefresh {
        expired: true,
        ..ServerRefresh::default()
    }));
    assert_eq!(kit.closed(), DisconnectCode::Expired.code());
}

#[test]
fn an_expired_subscription_by_the_server_closes() {
    let mut kit = Kit::connected(Rules::default());
    kit.session.timers.ping = None;
    let settings = SubscriptionSettings {
        expires_at: Some(START + Duration::from_secs(10)),
        ..SubscriptionSettings::default()
    };
    let subscribe = ServerSubscribe {
        channel: channel("open"),
        settings,
        recover_since: None,
    };
    kit.server(ServerCommand::Subscribe(Box::new(subscribe)));
    let (request, _) = kit.subscribing();
    kit.outcome(request, Outcome::Subscribed(Ok(Joined::default())));
    kit.outputs();
    kit.advance(Duration::from_secs(35));
    assert_eq!(kit.closed(), DisconnectCode::SubscriptionExpired.code());
}

#[test]
fn who_is_to_go_elsewhere_gets_the_answers_first_that_it_waits_for() {
    let mut kit = Kit::connected(Rules::default());
    let publish = PublishRequest {
        channel: "a".into(),
        data: "1".into(),
        ..PublishRequest::default()
    };
    kit.send(2, publish);
    let Effect::Publish { request, .. } = kit.effect() else {
        panic!("a publication");
    };
    kit.server(ServerCommand::GoElsewhere);
    assert!(kit.outputs().is_empty());
    assert!(!kit.session.accepts_commands(), "nothing new is begun");
    kit.outcome(request, Outcome::Published(Ok(())));
    match kit.outputs().as_slice() {
        [Output::Reply(reply), Output::Close(disconnect)] => {
            assert!(reply.id == 2 && reply.error.is_none(), "{reply:?}");
            assert_eq!(disconnect.code, 3001);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_waits_for_nothing_goes_at_once() {
    let mut idle = Kit::connected(Rules::default());
    idle.subscribed(2, "a");
    idle.server(ServerCommand::GoElsewhere);
    assert_eq!(idle.closed(), 3001);
    // It is not connected yet, and so can as well connect elsewhere.
    let mut connecting = Kit::new(Rules::default());
    connecting.send(1, ConnectRequest::default());
    connecting.effect();
    connecting.server(ServerCommand::GoElsewhere);
    assert_eq!(connecting.closed(), 3001);
}
