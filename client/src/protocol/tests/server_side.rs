use campanile_common::message::{ConnectResult, Push, Reply, Subscribe, SubscribeResult, SubscriptionEntry};

use super::rig::*;
use crate::Closed;

fn with(entries: Vec<(&str, SubscribeResult)>) -> ConnectResult {
    let entry = |(channel, result)| SubscriptionEntry::new(channel, result);
    ConnectResult {
        subs: entries.into_iter().map(entry).collect(),
        ..welcome()
    }
}

#[test]
fn they_come_with_the_connection_and_recover_with_the_next() {
    let mut rig = Rig::new(settings());
    rig.connect();
    rig.opened();
    let plain = SubscribeResult::default();
    assert_eq!(
        rig.reply(Reply::answer(
            1,
            with(vec![("own", stream("e", 4)), ("plain", plain)])
        )),
        ["connected c", "own: subscribed", "plain: subscribed"]
    );
    assert_eq!(rig.push(published("own", 5)), ["own: publication 5"]);
    assert!(rig.push(published("own", 5)).is_empty(), "a duplicate");
    assert_eq!(rig.push(published("plain", 0)), ["plain: publication"]);
    assert_eq!(
        rig.closed(Closed::BROKEN),
        [
            "close",
            "own: subscribing: transport closed (1)",
            "plain: subscribing: transport closed (1)",
            "connecting: transport closed (1)"
        ]
    );
    assert_eq!(rig.wait(SECOND), ["dial #1 connect own from e:5"]);
    rig.opened();
    assert_eq!(
        rig.reply(Reply::answer(1, with(vec![("own", recovered("e", 5, &[6, 7]))]))),
        [
            "connected c",
            "own: subscribed, recovered",
            "own: publication 6",
            "own: publication 7",
            "plain: unsubscribed: unsubscribe called (0)"
        ]
    );
}

#[test]
fn the_server_makes_and_ends_them_at_any_time() {
    let mut rig = Rig::connected(settings(), welcome());
    assert!(rig.push(published("own", 1)).is_empty(), "not yet");
    let subscribe = Subscribe {
        recoverable: true,
        epoch: "e".into(),
        offset: 4,
        ..Default::default()
    };
    assert_eq!(rig.push(Push::subscribe("own", subscribe)), ["own: subscribed"]);
    assert_eq!(rig.push(published("own", 5)), ["own: publication 5"]);
    assert_eq!(
        rig.push(unsubscribed("own", 2000)),
        ["own: unsubscribed: told (2000)"]
    );
    assert!(rig.push(published("own", 6)).is_empty());
    rig.closed(Closed::BROKEN);
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
}

#[test]
fn their_lanes_may_overtake_the_answer_to_connect() {
    let mut rig = Rig::new(settings());
    rig.connect();
    rig.opened();
    assert!(rig.lane(1, published("", 6)).is_empty());
    let result = SubscribeResult {
        id: 1,
        ..recovered("e", 4, &[5])
    };
    assert_eq!(
        rig.reply(Reply::answer(1, with(vec![("own", result)]))),
        [
            "connected c",
            "own: subscribed, recovered",
            "own: publication 5",
            "own: publication 6"
        ]
    );
    assert_eq!(rig.lane(1, published("", 7)), ["own: publication 7"]);
    rig.push(unsubscribed("own", 2000));
    assert!(rig.lane(1, published("", 8)).is_empty());
}
