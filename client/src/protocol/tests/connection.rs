use campanile_common::message::{Disconnect, PingResult, Reply};
use campanile_common::message::{Push, Refresh};

use super::rig::*;
use crate::{Closed, State};

#[test]
fn a_connection_is_opened_and_closed() {
    let mut rig = Rig::new(settings());
    assert_eq!(
        rig.connect(),
        ["connecting: connect called (0)", "dial #1 connect"]
    );
    assert!(rig.connect().is_empty(), "it does so already");
    assert!(rig.opened().is_empty(), "the transport has the first command");
    assert_eq!(rig.reply(Reply::answer(1, welcome())), ["connected c"]);
    assert_eq!(rig.machine.state(), State::Connected);
    assert_eq!(rig.disconnect(), ["close", "disconnected: disconnect called (0)"]);
    assert!(rig.disconnect().is_empty());
    assert_eq!(rig.machine.next_timeout(), None);
}

#[test]
fn ends_of_a_connection_are_told_apart() {
    let cases: &[(u32, &str, bool)] = &[
        (Closed::BROKEN, "connecting: transport closed (1)", true),
        (Closed::NO_CODE, "connecting: transport closed (1)", true),
        (3001, "connecting: told (3001)", true),
        (3499, "connecting: told (3499)", true),
        (3500, "disconnected: told (3500)", false),
        (3999, "disconnected: told (3999)", false),
        (4000, "connecting: told (4000)", true),
        (4500, "disconnected: told (4500)", false),
        (4999, "disconnected: told (4999)", false),
        (1009, "disconnected: message size limit exceeded (3)", false),
        (Closed::MALFORMED, "disconnected: bad protocol (2)", false),
    ];
    for (code, event, again) in cases {
        let mut rig = Rig::connected(settings(), welcome());
        assert_eq!(rig.closed(*code), ["close", event], "{code}");
        let next: &[&str] = if *again { &["dial #1 connect"] } else { &[] };
        assert_eq!(rig.wait(2 * SECOND), next, "{code}");
    }
    // The same codes in a push.
    for (code, event, again) in cases.iter().filter(|(code, ..)| *code >= 3000) {
        let mut rig = Rig::connected(settings(), welcome());
        let push = Disconnect {
            code: *code,
            reason: "told".into(),
            reconnect: *again,
        };
        assert_eq!(rig.push(Push::disconnect(push)), ["close", event], "{code}");
    }
}

#[test]
fn attempts_go_on_until_one_succeeds() {
    let mut rig = Rig::new(settings());
    rig.connect();
    assert_eq!(rig.open_failed(), ["cannot open a connection", "close"]);
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    assert_eq!(
        rig.wait(5 * SECOND),
        ["cannot open a connection", "close"],
        "it takes too long"
    );
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    rig.opened();
    assert_eq!(
        rig.wait(5 * SECOND),
        ["the server does not take the connection", "close"]
    );
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    rig.opened();
    assert_eq!(
        rig.refused(1, 111, true),
        ["the server does not take the connection", "close"]
    );
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    rig.opened();
    assert_eq!(rig.closed(Closed::BROKEN), ["close"]);
    assert_eq!(rig.wait(SECOND), ["dial #1 connect"]);
    rig.opened();
    assert_eq!(rig.reply(Reply::answer(1, welcome())), ["connected c"]);
}

#[test]
fn an_error_that_stays_ends_the_attempts() {
    let mut rig = Rig::new(settings());
    rig.connect();
    rig.opened();
    assert_eq!(rig.refused(1, 103, false), ["close", "disconnected: no (103)"]);
    assert_eq!(rig.machine.next_timeout(), None);
}

#[test]
fn a_transport_that_comes_too_late_is_not_wanted() {
    let mut rig = Rig::new(settings());
    rig.connect();
    rig.disconnect();
    let stale = crate::protocol::Attempt(1);
    let websocket = crate::TransportKind::WebSocket;
    assert!(!rig.machine.opened(rig.now, stale, websocket));
    rig.connect();
    assert!(!rig.machine.opened(rig.now, stale, websocket));
    rig.opened();
}

#[test]
fn silence_ends_the_connection_and_anything_heard_does_not() {
    let result = campanile_common::message::ConnectResult {
        ping: 25,
        pong: true,
        ..welcome()
    };
    let mut rig = Rig::connected(settings(), result);
    assert!(rig.wait(34 * SECOND).is_empty());
    assert_eq!(rig.reply(Reply::default()), ["pong"]);
    assert!(rig.wait(34 * SECOND).is_empty());
    // A message is as good as a ping.
    assert_eq!(rig.push(Push::message("{}".into())), ["message"]);
    assert!(rig.wait(34 * SECOND).is_empty());
    assert_eq!(rig.wait(SECOND), ["close", "connecting: no ping (2)"]);
}

#[test]
fn pongs_are_sent_where_they_are_asked_for_and_do_not_pile_up() {
    let mut rig = Rig::connected(settings(), welcome());
    assert!(rig.reply(Reply::default()).is_empty());
    let result = campanile_common::message::ConnectResult {
        ping: 25,
        pong: true,
        ..welcome()
    };
    let mut rig = Rig::connected(settings(), result);
    for _ in 0..10 {
        // Without room in the transport.
        rig.machine
            .received(rig.now, crate::transport::Incoming::Reply(Reply::default()));
    }
    assert_eq!(rig.said(), ["pong"]);
    assert_eq!(rig.reply(Reply::default()), ["pong"]);
}

#[test]
fn answers_of_another_kind_end_the_connection() {
    let mut rig = Rig::new(settings());
    rig.connect();
    rig.opened();
    assert_eq!(
        rig.reply(Reply::answer(1, PingResult {})),
        ["close", "disconnected: bad protocol (2)"]
    );
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut rig = Rig::connected(settings(), welcome());
    assert!(rig.reply(Reply::answer(1, welcome())).is_empty(), "a second time");
    assert!(rig.reply(Reply::answer(99, PingResult {})).is_empty());
    let refresh = Refresh {
        expires: false,
        ttl: 0,
    };
    assert!(rig.push(Push::refresh(refresh)).is_empty());
    rig.disconnect();
    assert!(
        rig.push(Push::message("{}".into())).is_empty(),
        "from a transport that is gone"
    );
}
