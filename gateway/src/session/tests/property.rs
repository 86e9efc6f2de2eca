//! Whatever happens in whatever order, the session keeps its promises; see the account in `driver`.

use std::time::Duration;

use campanile_common::UnsubscribeCode;
use campanile_common::message::{
    Command, ConnectRequest, HistoryRequest, PingRequest, PresenceRequest, PublishRequest, RPCRequest,
    RefreshRequest, Request, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use proptest::prelude::*;
use serde_json::json;

use super::driver::Account;
use super::kit::{Kit, Rules, START, channel, position, subscribe, token, token_of, token_until};
use crate::session::{
    Outcome, RequestId, ServerCommand, ServerRefresh, ServerSubscribe, SubscriptionSettings,
};

const CHANNELS: [&str; 6] = ["a", "stream:a", "stream:b", "closed:x", "nowhere:x", ""];

#[derive(Clone, Debug)]
enum Step {
    Command { kind: u8, channel: usize, variant: u8 },
    Pong,
    Outcome { which: usize, good: bool },
    Advance { millis: u64 },
    Lost { channel: usize },
    Server { kind: u8, channel: usize },
    Closed,
    BadFrame,
}

fn step() -> impl Strategy<Value = Step> {
    let named = 0..CHANNELS.len() - 1;
    prop_oneof![
        // The last channel has no name, which closes: seldom, or nothing else is seen.
        40 => (0..11u8, named.clone(), any::<u8>())
            .prop_map(|(kind, channel, variant)| Step::Command { kind, channel, variant }),
        1 => (0..11u8, Just(CHANNELS.len() - 1), any::<u8>())
            .prop_map(|(kind, channel, variant)| Step::Command { kind, channel, variant }),
        2 => Just(Step::Pong),
        40 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, good)| Step::Outcome { which, good }),
        10 => prop_oneof![0..100u64, 1_000..40_000u64].prop_map(|millis| Step::Advance { millis }),
        4 => named.clone().prop_map(|channel| Step::Lost { channel }),
        8 => (0..5u8, named).prop_map(|(kind, channel)| Step::Server { kind, channel }),
        1 => Just(Step::Closed),
        1 => Just(Step::BadFrame),
    ]
}

fn subscribe_request(name: &str, variant: u8) -> SubscribeRequest {
    SubscribeRequest {
        recover: variant & 1 != 0,
        flag: i64::from(variant & 2),
        recoverable: variant & 4 != 0,
        join_leave: variant & 8 != 0,
        token: if variant & 16 != 0 {
            token_until(
                "anna",
                Some(name),
                START + Duration::from_secs(u64::from(variant)),
            )
        } else {
            String::new()
        },
        ..subscribe(name)
    }
}

fn request(kind: u8, name: &str, variant: u8) -> Request {
    let channel = name.to_owned();
    match kind {
        0..=3 => subscribe_request(name, variant).into(),
        4 | 5 => UnsubscribeRequest { channel }.into(),
        6 => PublishRequest {
            channel,
            data: "{}".into(),
            ..PublishRequest::default()
        }
        .into(),
        7 => PresenceRequest { channel }.into(),
        8 => HistoryRequest {
            channel,
            limit: i32::from(variant) - 100,
            ..HistoryRequest::default()
        }
        .into(),
        9 => match variant % 8 {
            0 => RefreshRequest { token: token("anna") }.into(),
            1 => ConnectRequest::default().into(),
            2 => RPCRequest::default().into(),
            _ => PingRequest {}.into(),
        },
        _ => SubRefreshRequest {
            token: token_until("anna", Some(name), START + Duration::from_secs(300)),
            channel,
            ..SubRefreshRequest::default()
        }
        .into(),
    }
}

fn server_command(kind: u8, name: &str) -> ServerCommand {
    match kind {
        0 | 1 => {
            let settings = SubscriptionSettings {
                expires_at: (kind == 1).then_some(START + Duration::from_secs(60)),
                ..SubscriptionSettings::default()
            };
            let recover_since = Some(position(1));
            ServerCommand::Subscribe(Box::new(ServerSubscribe {
                channel: channel(name),
                settings,
                recover_since,
            }))
        }
        2 => ServerCommand::Unsubscribe {
            channel: channel(name),
            unsubscribe: UnsubscribeCode::Server.into(),
        },
        _ => ServerCommand::Refresh(ServerRefresh {
            info: Some("{}".into()),
            ..ServerRefresh::default()
        }),
    }
}

/// Does one step. `polite` drivers hand in commands only while they are accepted.
fn take(kit: &mut Kit, account: &mut Account, step: &Step, id: u32, polite: bool) {
    match step {
        Step::Command {
            kind,
            channel,
            variant,
        } => {
            if polite && !kit.session.accepts_commands() {
                return;
            }
            if !kit.session.is_closed() {
                account.asked(id);
            }
            kit.session.handle_command(
                kit.now,
                Command::new(id, request(*kind, CHANNELS[*channel], *variant)),
            );
        }
        Step::Pong if kit.session.timers.pong.is_some() => {
            kit.session.handle_command(kit.now, Command::default());
        }
        Step::Pong => {}
        Step::Outcome { which, good } => account.answer(kit, *which, *good),
        Step::Advance { millis } => kit.advance(Duration::from_millis(*millis)),
        Step::Lost { channel: lost } => kit.session.handle_lost(&channel(CHANNELS[*lost])),
        Step::Server { kind, channel } => {
            kit.session
                .handle_server(kit.now, server_command(*kind, CHANNELS[*channel]));
        }
        Step::Closed => {
            account.settle(kit);
            kit.session.handle_closed();
            account.closed = true;
        }
        Step::BadFrame => kit.session.handle_bad_frame(),
    }
    account.settle(kit);
}

fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.client.channel_limit = 4;
    rules.client.in_flight_limit = 3;
    rules
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept(
        steps in prop::collection::vec(step(), 1..80),
        polite: bool,
        subscribed_by_token: bool,
        good: bool,
    ) {
        let mut kit = Kit::new(rules());
        let mut account = Account::default();
        let channels = if subscribed_by_token { json!(["a", "stream:b"]) } else { json!([]) };
        account.asked(1);
        kit.send(1, ConnectRequest {
            token: token_of(&json!({"sub": "anna", "channels": channels})),
            ..ConnectRequest::default()
        });
        account.settle(&mut kit);
        for (id, step) in (2..).zip(&steps) {
            take(&mut kit, &mut account, step, id, polite);
        }
        account.finish(&mut kit, good);
    }
}

#[test]
fn an_outcome_that_nobody_waits_for_is_ignored() {
    let mut kit = Kit::connected(rules());
    kit.outcome(RequestId(99), Outcome::Published(Ok(())));
    assert!(kit.outputs().is_empty());
}
