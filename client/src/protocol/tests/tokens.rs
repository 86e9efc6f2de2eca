use campanile_common::message::{ConnectResult, RefreshResult, Reply, SubRefreshResult, SubscribeResult};

use super::rig::*;
use crate::Closed;
use crate::protocol::{NoToken, Settings, SubscriptionSettings};

fn with_source() -> Settings {
    Settings {
        has_token_source: true,
        ..settings()
    }
}

fn expiring() -> ConnectResult {
    ConnectResult {
        expires: true,
        ttl: 60,
        ..welcome()
    }
}

fn private() -> SubscriptionSettings {
    SubscriptionSettings {
        has_token_source: true,
        ..channel("$news")
    }
}

/// Connected with a token that came from the application.
fn connected() -> Rig {
    let mut rig = Rig::new(with_source());
    assert_eq!(rig.connect(), ["connecting: connect called (0)", "fetch token"]);
    assert_eq!(rig.token(Ok("a")), ["dial #1 connect with a"]);
    rig.opened();
    rig.reply(Reply::answer(1, expiring()));
    rig
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let mut rig = connected();
    assert!(rig.wait(59 * SECOND).is_empty());
    assert_eq!(rig.wait(SECOND), ["fetch token"]);
    assert_eq!(rig.token(Ok("b")), ["#2 refresh b"]);
    let again = RefreshResult {
        expires: true,
        ttl: 30,
        ..Default::default()
    };
    assert!(rig.reply(Reply::answer(2, again)).is_empty());
    assert_eq!(rig.wait(30 * SECOND), ["fetch token"]);
    assert_eq!(rig.token(Ok("c")), ["#3 refresh c"]);
    assert!(rig.reply(Reply::answer(3, RefreshResult::default())).is_empty());
    assert_eq!(rig.machine.next_timeout(), None, "the last does not expire");
    rig.closed(Closed::BROKEN);
    assert_eq!(rig.wait(SECOND), ["dial #1 connect with c"], "and is used again");
}

#[test]
fn a_renewal_that_fails_is_tried_again_unless_that_is_of_no_use() {
    let mut rig = connected();
    rig.wait(60 * SECOND);
    assert_eq!(rig.token(Err(failed())), ["no token for the connection"]);
    assert_eq!(rig.wait(10 * SECOND), ["fetch token"]);
    rig.token(Ok("b"));
    assert_eq!(
        rig.refused(2, 100, true),
        ["the connection's token was not renewed"]
    );
    assert_eq!(rig.wait(10 * SECOND), ["fetch token"]);
    rig.token(Ok("c"));
    assert_eq!(
        rig.wait(5 * SECOND),
        ["the connection's token was not renewed"],
        "no answer"
    );
    assert_eq!(rig.wait(10 * SECOND), ["fetch token"]);
    rig.token(Ok("d"));
    assert_eq!(rig.refused(4, 103, false), ["close", "disconnected: no (103)"]);
}

#[test]
fn who_has_no_right_gives_up() {
    let end = "disconnected: unauthorized (1)";
    let mut rig = Rig::new(with_source());
    rig.connect();
    assert_eq!(rig.token(Err(NoToken::Unauthorized)), [end]);
    let mut rig = connected();
    rig.wait(60 * SECOND);
    assert_eq!(rig.token(Err(NoToken::Unauthorized)), ["close", end]);
    let mut rig = connected();
    rig.wait(60 * SECOND);
    assert_eq!(rig.token(Ok("")), ["close", end]);
    let mut rig = Rig::connected(settings(), expiring());
    assert_eq!(
        rig.wait(60 * SECOND),
        [
            "the connection's token has expired, and there is no token source",
            "close",
            end
        ]
    );
}

#[test]
fn a_token_that_has_expired_is_replaced() {
    let mut rig = Rig::new(Settings {
        token: "old".into(),
        ..with_source()
    });
    assert_eq!(rig.connect()[1], "dial #1 connect with old");
    rig.opened();
    assert_eq!(
        rig.refused(1, 109, false),
        ["the server does not take the connection", "close"]
    );
    assert_eq!(rig.wait(SECOND), ["fetch token"]);
    assert_eq!(rig.token(Err(failed())), ["no token for the connection"]);
    assert_eq!(rig.wait(SECOND), ["fetch token"]);
    assert_eq!(rig.token(Ok("new")), ["dial #1 connect with new"]);
}

#[test]
fn a_token_that_cannot_be_replaced_is_the_end() {
    let mut rig = Rig::new(Settings {
        token: "old".into(),
        ..settings()
    });
    rig.connect();
    rig.opened();
    rig.refused(1, 109, false);
    assert_eq!(
        rig.wait(SECOND),
        [
            "the connection's token has expired, and there is no token source",
            "disconnected: unauthorized (1)"
        ]
    );
    // Unless the application has another.
    rig.machine.set_token("new".into());
    assert_eq!(rig.connect()[1], "dial #1 connect with new");
}

#[test]
fn a_token_for_an_attempt_that_is_over_is_not_used() {
    let mut rig = Rig::new(with_source());
    rig.connect();
    rig.disconnect();
    assert!(rig.token(Ok("late")).is_empty());
    assert_eq!(rig.connect(), ["connecting: connect called (0)", "fetch token"]);
}

#[test]
fn subscriptions_have_tokens_of_their_own() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(private());
    assert_eq!(
        rig.subscribe(news),
        ["1: subscribing: subscribe called (0)", "fetch token of 1"]
    );
    assert_eq!(rig.token(Err(failed())), ["1: no token for the subscription"]);
    assert_eq!(rig.wait(SECOND), ["fetch token of 1"]);
    assert_eq!(rig.token(Ok("a")), ["#2 subscribe $news with a"]);
    let result = SubscribeResult {
        expires: true,
        ttl: 60,
        ..Default::default()
    };
    rig.reply(Reply::answer(2, result));
    assert_eq!(rig.wait(60 * SECOND), ["fetch token of 1"]);
    assert_eq!(rig.token(Ok("b")), ["#3 sub_refresh $news b"]);
    let again = SubRefreshResult {
        expires: true,
        ttl: 30,
        ..Default::default()
    };
    rig.reply(Reply::answer(3, again));
    assert_eq!(rig.wait(30 * SECOND), ["fetch token of 1"]);
    assert_eq!(rig.token(Err(failed())), ["1: no token for the subscription"]);
    assert_eq!(rig.wait(20 * SECOND), ["fetch token of 1"]);
    rig.token(Ok("c"));
    assert_eq!(
        rig.refused(4, 100, true),
        ["1: the subscription's token was not renewed"]
    );
    assert_eq!(rig.wait(20 * SECOND), ["fetch token of 1"]);
    rig.token(Ok("d"));
    assert_eq!(
        rig.refused(5, 103, false),
        ["1: unsubscribed: no (103)", "#6 unsubscribe $news"]
    );
}

#[test]
fn a_subscription_without_a_right_ends() {
    let end = "1: unsubscribed: unauthorized (1)";
    for answer in [Ok(""), Err(NoToken::Unauthorized)] {
        let mut rig = Rig::connected(settings(), welcome());
        let news = rig.add(private());
        rig.subscribe(news);
        assert_eq!(rig.token(answer), [end]);
    }
    // Expired, without another: as if there were none.
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(channel("$news"));
    rig.subscribe(news);
    assert_eq!(
        rig.refused(2, 109, false),
        [
            "1: the subscription's token has expired, and there is no token source",
            end
        ]
    );
}

#[test]
fn a_subscription_token_that_has_expired_is_replaced() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(SubscriptionSettings {
        token: "old".into(),
        ..private()
    });
    assert_eq!(rig.subscribe(news)[1], "#2 subscribe $news with old");
    rig.refused(2, 109, false);
    assert_eq!(rig.wait(SECOND), ["fetch token of 1"]);
    assert_eq!(rig.token(Ok("new")), ["#3 subscribe $news with new"]);
}

#[test]
fn a_token_may_come_while_there_is_no_connection() {
    let mut rig = Rig::connected(settings(), welcome());
    let news = rig.add(private());
    rig.subscribe(news);
    rig.closed(Closed::BROKEN);
    assert!(rig.token(Ok("a")).is_empty());
    rig.wait(SECOND);
    assert_eq!(rig.opened(), ["#2 subscribe $news with a"]);
}
