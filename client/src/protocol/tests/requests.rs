use campanile_common::message::{
    HistoryRequest, HistoryResult, PingResult, PublishRequest, PublishResult, Reply, SendRequest,
};

use super::rig::*;
use crate::Closed;

fn publish() -> PublishRequest {
    PublishRequest::default()
}

#[test]
fn requests_wait_for_the_connection() {
    let mut rig = Rig::new(settings());
    rig.connect();
    assert!(rig.request(publish()).is_empty());
    assert!(rig.request(HistoryRequest::default()).is_empty());
    assert!(rig.request(SendRequest::default()).is_empty());
    assert!(rig.opened().is_empty());
    assert_eq!(
        rig.reply(Reply::answer(1, welcome())),
        [
            "connected c",
            "#2 publish",
            "#3 history",
            "#0 send",
            "call 3: sent"
        ]
    );
    let history = HistoryResult {
        offset: 7,
        ..Default::default()
    };
    assert_eq!(rig.reply(Reply::answer(3, history)), ["call 2: history to 7"]);
    assert_eq!(
        rig.reply(Reply::answer(2, PublishResult {})),
        ["call 1: answered"]
    );
    assert_eq!(rig.machine.next_timeout(), None);
}

#[test]
fn requests_end_in_time_one_way_or_another() {
    let mut rig = Rig::new(settings());
    assert_eq!(rig.request(publish()), ["call 1: the client is disconnected"]);
    rig.connect();
    rig.request(publish());
    rig.machine.timeout(rig.now + 4 * SECOND);
    assert!(rig.said().is_empty());
    let said = rig.wait(5 * SECOND);
    assert!(said.contains(&"call 2: no answer in time".to_owned()), "{said:?}");
    rig.request(publish());
    assert_eq!(
        rig.disconnect(),
        [
            "call 3: the client is disconnected",
            "disconnected: disconnect called (0)"
        ]
    );

    let mut rig = Rig::connected(settings(), welcome());
    assert_eq!(rig.request(publish()), ["#2 publish"]);
    assert_eq!(rig.wait(5 * SECOND), ["call 1: no answer in time"]);
    assert!(
        rig.reply(Reply::answer(2, PublishResult {})).is_empty(),
        "too late"
    );
    assert_eq!(rig.request(publish()), ["#3 publish"]);
    assert_eq!(rig.refused(3, 103, false), ["call 2: no (103)"]);
    assert_eq!(rig.request(publish()), ["#4 publish"]);
    assert_eq!(
        rig.reply(Reply {
            id: 4,
            ..Default::default()
        }),
        ["call 3: the reply does not answer the request"]
    );
    rig.reply(Reply::answer(4, PingResult {}));
}

#[test]
fn what_was_sent_is_not_sent_again_and_what_was_not_is() {
    let mut rig = Rig::connected(settings(), welcome());
    rig.request(publish());
    rig.machine.request(rig.now, publish().into(), 60 * SECOND);
    rig.machine.closed(rig.now, &Closed::new(Closed::BROKEN, ""));
    let said = rig.said();
    assert_eq!(said[1], "call 1: connection closed: transport closed (1)");
    assert_eq!(said.len(), 3, "{said:?}");
    rig.wait(SECOND);
    rig.opened();
    assert_eq!(
        rig.reply(Reply::answer(1, welcome())),
        ["connected c", "#2 publish"]
    );
}
