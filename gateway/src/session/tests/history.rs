use campanile_common::ErrorCode;
use campanile_common::message::{ClientInfo, HistoryRequest, PresenceRequest, PresenceStatsRequest};
use campanile_shard_router::shard::HistoryPage;

use super::kit::{Kit, Rules, position, publication};
use crate::session::{Effect, Outcome};

fn history(limit: i32) -> HistoryRequest {
    HistoryRequest {
        channel: "stream:x".into(),
        limit,
        ..HistoryRequest::default()
    }
}

#[test]
fn the_limit_is_the_clients_up_to_the_servers() {
    for (asked, limit) in [(0, 0), (5, 5), (300, 300), (301, 300), (-1, 300), (i32::MIN, 300)] {
        let mut kit = Kit::connected(Rules::default());
        kit.send(2, history(asked));
        match kit.effect() {
            Effect::History { spec, .. } => assert_eq!(spec.limit, limit, "{asked}"),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn the_page_is_answered() {
    let mut kit = Kit::connected(Rules::default());
    let since = Some(position(3).into());
    kit.send(
        2,
        HistoryRequest {
            since,
            reverse: true,
            ..history(10)
        },
    );
    let Effect::History { request, spec, .. } = kit.effect() else {
        panic!("not read");
    };
    assert_eq!((spec.since, spec.reverse), (Some(position(3)), true));
    let publications = vec![(*publication(2)).clone(), (*publication(1)).clone()];
    let page = HistoryPage {
        position: position(4),
        publications,
    };
    kit.outcome(request, Outcome::History(Ok(page)));
    let result = kit.replies().remove(0).history.unwrap();
    assert_eq!(
        (result.epoch.as_str(), result.offset, result.publications.len()),
        ("e1", 4, 2)
    );

    kit.send(3, history(10));
    let Effect::History { request, .. } = kit.effect() else {
        panic!("not read");
    };
    kit.outcome(request, Outcome::History(Err(ErrorCode::UnrecoverablePosition)));
    assert_eq!(kit.error(3).code, 112);
}

#[test]
fn presence_is_told_whole_or_counted() {
    let info = |user: &str, client: &str| {
        let info = ClientInfo {
            user: user.into(),
            client: client.into(),
            ..ClientInfo::default()
        };
        (client.to_owned(), info)
    };
    let present = || Ok([info("anna", "1"), info("anna", "2"), info("", "3")].into());
    let mut kit = Kit::connected(Rules::default());
    kit.send(
        2,
        PresenceRequest {
            channel: "stream:x".into(),
        },
    );
    let Effect::Presence { request, .. } = kit.effect() else {
        panic!("not read");
    };
    kit.outcome(request, Outcome::Presence(present()));
    assert_eq!(kit.replies().remove(0).presence.unwrap().presence.len(), 3);

    kit.send(
        3,
        PresenceStatsRequest {
            channel: "stream:x".into(),
        },
    );
    let Effect::Presence { request, .. } = kit.effect() else {
        panic!("not read");
    };
    kit.outcome(request, Outcome::Presence(present()));
    let stats = kit.replies().remove(0).presence_stats.unwrap();
    assert_eq!((stats.num_clients, stats.num_users), (3, 2));
}
