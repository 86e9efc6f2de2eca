use std::num::NonZeroU32;
use std::time::Duration;

use campanile_common::message::{Command, ConnectRequest, PingRequest, Reply};
use campanile_common::{DisconnectCode, Timestamp};

use super::kit::{Kit, Rules, START, token, token_until};
use crate::config::options::RateLimit;
use crate::session::limits::{RateMeter, Verdict};
use crate::session::{Output, Session, Start};

#[test]
fn a_connection_that_does_not_connect_is_stale() {
    let mut kit = Kit::new(Rules::default());
    assert_eq!(kit.session.next_timeout(), Some(START + Duration::from_secs(10)));
    kit.advance(Duration::from_millis(9_999));
    assert!(kit.outputs().is_empty());
    kit.advance(Duration::from_millis(1));
    assert_eq!(kit.closed(), DisconnectCode::Stale.code());
}

#[test]
fn so_is_one_whose_token_had_expired() {
    let mut kit = Kit::new(Rules::default());
    kit.send(
        1,
        ConnectRequest {
            token: token_until("anna", None, START),
            ..ConnectRequest::default()
        },
    );
    kit.error(1);
    kit.advance(Duration::from_secs(10));
    assert_eq!(kit.closed(), DisconnectCode::Stale.code());
}

#[test]
fn slow_shards_do_not_make_a_client_stale() {
    let mut kit = Kit::new(Rules::default());
    kit.send(
        1,
        ConnectRequest {
            token: token("anna"),
            ..ConnectRequest::default()
        },
    );
    kit.outputs();
    kit.advance(Duration::from_secs(60));
    assert!(kit.outputs().is_empty());
}

#[test]
fn pings_are_answered_or_the_connection_ends() {
    let mut kit = Kit::connected(Rules::default());
    for round in 0..3 {
        let next = kit.session.next_timeout().unwrap();
        let pause = next.saturating_since(kit.now);
        let range = if round == 0 {
            12_500..=25_000
        } else {
            25_000..=25_000
        };
        assert!(range.contains(&pause.as_millis()), "{pause:?}");
        kit.advance(pause);
        assert!(matches!(kit.outputs().as_slice(), [Output::Ping]));
        kit.session.handle_command(kit.now, Command::default());
        assert!(kit.outputs().is_empty());
    }
    kit.advance(Duration::from_secs(25));
    assert!(matches!(kit.outputs().as_slice(), [Output::Ping]));
    kit.advance(Duration::from_secs(8));
    assert_eq!(kit.closed(), DisconnectCode::NoPong.code());
}

#[test]
fn a_pong_that_nobody_asked_for_closes() {
    let mut kit = Kit::connected(Rules::default());
    kit.session.handle_command(kit.now, Command::default());
    assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());
}

#[test]
fn pings_and_pongs_can_be_off() {
    let mut rules = Rules::default();
    rules.client.pong_timeout = Duration::ZERO;
    let mut kit = Kit::new(rules);
    let result = kit.connect(ConnectRequest::default());
    assert_eq!((result.ping, result.pong), (25, false));
    for _ in 0..5 {
        kit.advance(Duration::from_secs(25));
        assert!(matches!(kit.outputs().as_slice(), [Output::Ping]));
    }

    let mut rules = Rules::default();
    rules.client.ping_interval = Duration::ZERO;
    let mut kit = Kit::new(rules);
    let result = kit.connect(ConnectRequest::default());
    assert_eq!((result.ping, result.pong), (0, false));
    assert_eq!(kit.session.next_timeout(), None);
}

#[test]
fn first_pings_are_spread() {
    let context = Rules::default().context();
    let first = |seed| {
        let start = Start {
            client: "c".into(),
            now: START,
            seed,
        };
        let mut kit = Kit {
            session: Session::new(context.clone(), start),
            now: START,
        };
        kit.connect(ConnectRequest::default());
        kit.session.next_timeout().unwrap()
    };
    assert_eq!(first(1), first(1), "the same seed gives the same session");
    let distinct: std::collections::BTreeSet<Timestamp> = (0..100).map(first).collect();
    assert!(distinct.len() > 90);
}

#[test]
fn a_flood_is_refused_then_closed() {
    let rate = |number| NonZeroU32::new(number).unwrap();
    let mut rules = Rules::default();
    rules.client.rate_limit = Some(RateLimit {
        per_second: rate(10),
        burst: rate(5),
    });
    let mut kit = Kit::connected(rules);
    kit.now = kit.now + Duration::from_secs(1);
    for id in 1..=5 {
        kit.send(id, PingRequest {});
        assert!(matches!(kit.replies().as_slice(), [Reply { ping: Some(_), .. }]));
    }
    for id in 6..=10 {
        kit.send(id, PingRequest {});
        assert_eq!(kit.error(id).code, 111);
    }
    kit.send(11, PingRequest {});
    assert_eq!(kit.closed(), DisconnectCode::TooManyRequests.code());
}

#[test]
fn a_refused_client_that_waits_may_go_on() {
    let rate = |number| NonZeroU32::new(number).unwrap();
    let limit = RateLimit {
        per_second: rate(10),
        burst: rate(2),
    };
    let mut meter = RateMeter::default();
    let mut at = |millis| meter.admit(Timestamp::from_millis(millis), limit);
    assert_eq!(
        [at(0), at(0), at(0)],
        [Verdict::Admit, Verdict::Admit, Verdict::Refuse]
    );
    assert_eq!([at(200), at(200)], [Verdict::Admit, Verdict::Refuse]);
    assert_eq!(at(10_000), Verdict::Admit);
    // Exactly as fast as allowed, for long.
    for step in 0..1000 {
        assert_eq!(at(20_000 + step * 100), Verdict::Admit);
    }
}

#[test]
fn senseless_commands_close() {
    use campanile_common::message::{Request, SubscribeRequest};
    let two = Command {
        ping: Some(PingRequest {}),
        ..Command::new(2, Request::from(SubscribeRequest::default()))
    };
    let none = Command {
        id: 2,
        ..Command::default()
    };
    let without_number = Command::new(0, PingRequest {});
    for command in [two, none, without_number] {
        let mut kit = Kit::connected(Rules::default());
        kit.session.handle_command(kit.now, command);
        assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());
    }
    let mut kit = Kit::connected(Rules::default());
    kit.session.handle_bad_frame();
    assert_eq!(kit.closed(), DisconnectCode::BadRequest.code());
}
