use campanile_common::message::{ClientInfo, ConnectResult, Push, Reply, SubscribeResult, UnsubscribeResult};
use campanile_common::{Offset, Position};

use super::rig::*;
use crate::Closed;
use crate::protocol::SubscriptionSettings;

fn subscribed() -> (Rig, crate::protocol::SubscriptionId) {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    assert_eq!(
        rig.subscribe(news),
        ["1: subscribing: subscribe called (0)", "#2 subscribe news"]
    );
    assert_eq!(rig.reply(Reply::answer(2, stream("e", 7))), ["1: subscribed"]);
    (rig, news)
}

#[test]
fn a_subscription_delivers_until_it_ends() {
    let (mut rig, news) = subscribed();
    assert!(rig.subscribe(news).is_empty());
    assert_eq!(rig.push(published("news", 8)), ["1: publication 8"]);
    assert_eq!(rig.push(Push::join("news", ClientInfo::default())), ["1: join"]);
    assert_eq!(rig.push(Push::leave("news", ClientInfo::default())), ["1: leave"]);
    assert!(rig.push(published("other", 1)).is_empty());
    assert_eq!(
        rig.unsubscribe(news),
        ["1: unsubscribed: unsubscribe called (0)", "#3 unsubscribe news"]
    );
    assert!(rig.push(published("news", 9)).is_empty());
    assert!(rig.reply(Reply::answer(3, UnsubscribeResult {})).is_empty());
    assert_eq!(rig.machine.next_timeout(), None);
    // What came in between was not delivered, and so is not lost.
    assert_eq!(
        rig.subscribe(news),
        [
            "1: subscribing: subscribe called (0)",
            "#4 subscribe news from e:8"
        ]
    );
}

#[test]
fn the_next_connection_recovers() {
    let (mut rig, _) = subscribed();
    rig.push(published("news", 8));
    assert_eq!(
        rig.closed(Closed::BROKEN),
        [
            "close",
            "1: subscribing: transport closed (1)",
            "connecting: transport closed (1)"
        ]
    );
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    assert_eq!(
        rig.opened(),
        ["#2 subscribe news from e:8"],
        "before connect is answered"
    );
    assert_eq!(rig.reply(Reply::answer(1, welcome())), ["connected c"]);
    assert_eq!(
        rig.reply(Reply::answer(2, recovered("e", 8, &[9, 10]))),
        [
            "1: subscribed, recovered",
            "1: publication 9",
            "1: publication 10"
        ]
    );
    assert!(rig.push(published("news", 10)).is_empty(), "a duplicate");
    assert_eq!(rig.push(published("news", 11)), ["1: publication 11"]);
}

#[test]
fn the_first_subscribe_can_recover_too() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(SubscriptionSettings {
        since: Some(Position::new("e".into(), Offset(3))),
        ..channel("news")
    });
    assert_eq!(rig.subscribe(news)[1], "#2 subscribe news from e:3");
    let result = SubscribeResult {
        was_recovering: true,
        ..stream("f", 9)
    };
    assert_eq!(
        rig.reply(Reply::answer(2, result)),
        ["1: subscribed, not recovered"]
    );
    rig.closed(Closed::BROKEN);
    rig.wait(SECOND);
    assert_eq!(rig.opened(), ["#2 subscribe news from f:9"]);
}

#[test]
fn subscriptions_wait_for_the_connection() {
    let mut rig = Rig::new(settings());
    let news = rig.add(channel("news"));
    assert_eq!(rig.subscribe(news), ["1: subscribing: subscribe called (0)"]);
    assert_eq!(rig.unsubscribe(news), ["1: unsubscribed: unsubscribe called (0)"]);
    rig.subscribe(news);
    rig.connect();
    assert_eq!(rig.opened(), ["#2 subscribe news"]);
    // An attempt that fails takes the command with it.
    assert_eq!(rig.refused(1, 100, true).last().unwrap(), "close");
    rig.wait(SECOND);
    assert_eq!(rig.opened(), ["#2 subscribe news"]);
    rig.disconnect();
    assert!(
        rig.machine.add_subscription(channel("news")).is_none(),
        "one a channel"
    );
}

#[test]
fn the_server_ends_subscriptions_for_good_or_for_another_start() {
    let cases: &[(u32, &[&str])] = &[
        (2000, &["1: unsubscribed: told (2000)"]),
        (2499, &["1: unsubscribed: told (2499)"]),
        (
            2500,
            &["1: subscribing: told (2500)", "#3 subscribe news from e:7"],
        ),
        (
            2501,
            &["1: subscribing: told (2501)", "#3 subscribe news from e:7"],
        ),
        (
            2502,
            &["1: subscribing: told (2502)", "#3 subscribe news from _:0"],
        ),
    ];
    for (code, expected) in cases {
        let (mut rig, news) = subscribed();
        assert_eq!(rig.push(unsubscribed("news", *code)), *expected);
        // Once more, or late: it is about the one before.
        assert!(rig.push(unsubscribed("news", *code)).is_empty(), "{code}");
        rig.unsubscribe(news);
        assert!(rig.push(unsubscribed("news", *code)).is_empty(), "{code}");
    }
}

#[test]
fn refused_subscriptions_are_tried_again_where_that_may_help() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    let error = "1: the server does not take the subscription";
    assert_eq!(rig.refused(2, 100, true), [error]);
    // The wait goes on over a new connection.
    rig.closed(Closed::BROKEN);
    rig.machine.timeout(rig.now);
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    assert_eq!(rig.opened(), ["#2 subscribe news"]);
    rig.reply(Reply::answer(1, welcome()));
    assert_eq!(rig.refused(2, 100, true), [error]);
    assert_eq!(rig.wait(SECOND), ["#3 subscribe news"]);
    assert_eq!(rig.refused(3, 103, false), ["1: unsubscribed: no (103)"]);
    assert_eq!(rig.machine.next_timeout(), None);
}

#[test]
fn a_wait_ends_with_the_subscription() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    rig.refused(2, 100, true);
    assert_eq!(rig.unsubscribe(news), ["1: unsubscribed: unsubscribe called (0)"]);
    assert_eq!(rig.machine.next_timeout(), None);
}

#[test]
fn what_is_not_answered_ends_the_connection() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    assert_eq!(
        rig.wait(5 * SECOND),
        [
            "1: the server does not take the subscription",
            "close",
            "connecting: subscribe timeout (3)"
        ]
    );
    let (mut rig, news) = subscribed();
    rig.unsubscribe(news);
    assert_eq!(
        rig.wait(5 * SECOND),
        ["close", "connecting: unsubscribe error (4)"]
    );
}

#[test]
fn an_answer_to_an_older_subscribe_is_not_taken_for_the_present_one() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    assert_eq!(
        rig.unsubscribe(news),
        ["1: unsubscribed: unsubscribe called (0)", "#3 unsubscribe news"]
    );
    assert_eq!(
        rig.subscribe(news),
        ["1: subscribing: subscribe called (0)", "#4 subscribe news"]
    );
    assert!(rig.reply(Reply::answer(2, stream("e", 1))).is_empty());
    assert!(rig.push(published("news", 2)).is_empty());
    assert!(rig.reply(Reply::answer(3, UnsubscribeResult {})).is_empty());
    assert_eq!(rig.reply(Reply::answer(4, stream("e", 2))), ["1: subscribed"]);
    assert_eq!(rig.push(published("news", 3)), ["1: publication 3"]);
}

#[test]
fn a_lane_may_overtake_its_answer_and_be_overtaken_by_its_end() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    assert!(rig.lane(5, published("", 9)).is_empty());
    assert!(rig.lane(5, published("", 10)).is_empty());
    let result = SubscribeResult {
        id: 5,
        ..recovered("e", 7, &[8, 9])
    };
    assert_eq!(
        rig.reply(Reply::answer(2, result)),
        [
            "1: subscribed, recovered",
            "1: publication 8",
            "1: publication 9",
            "1: publication 10"
        ]
    );
    assert_eq!(rig.lane(5, published("", 11)), ["1: publication 11"]);
    // Servers that save bytes put the number into pushes that come in the order of replies.
    let numbered = Push {
        id: 5,
        ..published("", 12)
    };
    assert_eq!(rig.push(numbered), ["1: publication 12"]);
    rig.unsubscribe(news);
    assert!(rig.lane(5, published("", 13)).is_empty());
    // Another subscription's answer is under way: the old number is still over.
    rig.subscribe(news);
    assert!(rig.lane(5, published("", 13)).is_empty());
    let result = SubscribeResult {
        id: 6,
        ..recovered("e", 12, &[])
    };
    assert_eq!(rig.reply(Reply::answer(4, result)), ["1: subscribed, recovered"]);
}

#[test]
fn too_much_before_an_answer_ends_the_connection() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    let mut last = Vec::new();
    for offset in 1..10_000 {
        last = rig.lane(5, published("", offset));
        if !last.is_empty() {
            break;
        }
    }
    assert_eq!(last, ["close", "connecting: too many early pushes (5)"]);
    rig.wait(SECOND);
    assert_eq!(rig.opened(), ["#2 subscribe news"]);
}

#[test]
fn a_subscription_that_is_dropped_leaves_nothing() {
    let (mut rig, news) = subscribed();
    rig.machine.remove_subscription(rig.now, news);
    assert_eq!(
        rig.said(),
        ["1: unsubscribed: unsubscribe called (0)", "#3 unsubscribe news"]
    );
    assert!(rig.push(published("news", 9)).is_empty());
    let again = rig.add(channel("news"));
    assert_eq!(
        rig.subscribe(again)[1],
        "#4 subscribe news",
        "it recovers nothing"
    );
}

#[test]
fn state_that_the_server_invalidates_is_not_recovered_from() {
    let result = ConnectResult {
        subs: vec![campanile_common::message::SubscriptionEntry::new(
            "own",
            stream("e", 4),
        )],
        ..welcome()
    };
    let mut rig = Rig::connected(settings(), result);
    let news = rig.add(channel("news"));
    rig.subscribe(news);
    rig.reply(Reply::answer(2, stream("e", 7)));
    rig.closed(3014);
    assert_eq!(rig.wait(SECOND), ["dial #1 connect own from _:0"]);
    assert_eq!(rig.opened(), ["#2 subscribe news from _:0"]);
}
