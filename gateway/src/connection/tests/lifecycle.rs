//! How connections end, and what is left of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::Unsubscribe;
use campanile_common::{ChannelName, DisconnectCode, Position};
use campanile_shard_router::audience::{Audience, Event, LossReason};
use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use super::client::{Client, Received};
use super::world::{client, eventually, host, host_with, members, pipe, token};
use crate::cluster::{LocalGateway, Target};
use crate::config::options::{AuthOptions, ChannelOptions, NamespaceOptions};
use crate::connection::local::LocalConnections;
use crate::connection::shutdown::{Departed, Departure};
use crate::connection::{Connection, drive};
use crate::hub::{EncodedCounters, Hub, Members};
use crate::session::{ServerCommand, ServerRefresh, SessionContext};
use crate::transport::TransportKind;
use crate::transport::websocket::WebSocket;

#[tokio::test]
async fn nothing_is_left_of_a_client_that_went_without_a_word() {
    let host = host().await;
    let mut one = client(&host).await;
    one.subscribe("a").await;
    one.subscribe("b").await;
    let connections = host.registry.all();
    assert_eq!((connections.len(), host.registry.client_count()), (1, 1));
    let connection = Arc::downgrade(&connections[0]);
    drop(connections);
    drop(one);
    eventually("its place is free", || host.admission.present() == 0).await;
    assert_eq!((host.registry.all().len(), host.registry.client_count()), (0, 0));
    for channel in ["a", "b"] {
        assert!(members(&host, channel).is_empty());
    }
    eventually("nobody holds it", || connection.strong_count() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_leaves_by_turns_unless_its_socket_is_needed() {
    let host = host_with(|client, _| client.connection_limit = 2).await;
    // So many leave that nobody's turn comes for seconds.
    for _ in 0..100_000 {
        let _ = host.exit.pass().now_or_never();
    }
    let (stays, goes) = (client(&host).await, client(&host).await);
    drop(goes);
    eventually("its place is free", || host.admission.present() == 1).await;
    assert_eq!(host.admission.leaving(), 1);
    let _comes = client(&host).await;
    assert_eq!(
        host.admission.leaving(),
        0,
        "two sockets are as many as there may be"
    );
    drop(stays);
    eventually("its place is free", || host.admission.present() == 1).await;
    eventually("its turn comes", || host.admission.leaving() == 0).await;
}

#[tokio::test]
async fn a_task_that_is_torn_down_leaves_nothing_behind() {
    let host = host().await;
    let (near, far) = tokio::io::duplex(1000);
    let transport = WebSocket::new(
        near,
        bytes::Bytes::new(),
        false,
        &super::world::websocket_options(),
    );
    let place = host.admission.admit(host.clock.now()).unwrap();
    let connection = Connection::open(
        Arc::clone(&host),
        TransportKind::WebSocket,
        campanile_common::Codec::Json,
    );
    let task = tokio::spawn(drive(connection, transport, place));
    let mut client = Client::connected(far).await;
    client.subscribe("a").await;
    task.abort();
    assert_eq!(client.closed().await, Received::Gone);
    eventually("its place is free", || host.admission.present() == 0).await;
    assert!(host.registry.all().is_empty());
    assert!(members(&host, "a").is_empty());
}

#[tokio::test]
async fn the_server_api_reaches_connections() {
    let host = host().await;
    let mut one = client(&host).await;
    one.subscribe("a").await;
    let connection = host.registry.all().pop().unwrap();
    connection.handle_server(ServerCommand::Unsubscribe {
        channel: ChannelName::from_trusted("a"),
        unsubscribe: Unsubscribe {
            code: 2000,
            reason: "because".into(),
        },
    });
    let push = one.reply().await;
    assert_eq!(push["push"]["unsubscribe"]["reason"], "because");
    assert!(members(&host, "a").is_empty());
    connection.handle_server(ServerCommand::Disconnect(campanile_common::Disconnect::new(
        4321, "out",
    )));
    assert_eq!(one.closed().await, Received::Closed(4321));
}

#[tokio::test]
async fn commands_of_the_cluster_find_the_connections_that_are_meant() {
    let host = host().await;
    let (_board, status) = tokio::sync::watch::channel(Default::default());
    let local = LocalConnections::new(Arc::clone(&host), "uid".into(), "name".into(), status);
    let (mut one, mut two) = (client(&host).await, client(&host).await);
    one.subscribe("a").await;
    two.subscribe("a").await;
    two.subscribe("b").await;
    let info = local.info();
    assert_eq!((info.num_clients, info.num_users), (2, 1));
    assert_eq!((info.num_subs, info.num_channels), (3, 2));
    let mut channels = Vec::new();
    local.visit_channels(&mut |seen| {
        let mut is_shared = false;
        let look = |members: &Members<Connection>, _: Option<&Position>| members.is_shared();
        host.router.visit_channels(look, |_, shared| is_shared |= shared);
        assert!(
            !is_shared,
            "who looks must not make the next subscriber copy a list"
        );
        channels.push((seen.channel, seen.subscribers));
    });
    channels.sort();
    assert_eq!(
        channels,
        [
            (ChannelName::from_trusted("a"), 2),
            (ChannelName::from_trusted("b"), 1)
        ]
    );

    let out = || ServerCommand::Disconnect(DisconnectCode::ForceDisconnect.into());
    let ids: Vec<_> = host
        .registry
        .all()
        .iter()
        .map(|connection| connection.id().to_string())
        .collect();
    for nobody in [
        Target {
            user: "ann".into(),
            ..Target::default()
        },
        Target {
            client: "x".into(),
            ..Target::default()
        },
        Target {
            client: ids[0].clone(),
            user: "ann".into(),
            ..Target::default()
        },
        Target {
            session: "x".into(),
            ..Target::default()
        },
        Target {
            whitelist: ids.clone(),
            ..Target::default()
        },
    ] {
        assert_eq!(local.command(&nobody, out()), 0, "{nobody:?}");
    }
    let target = Target {
        client: ids[0].clone(),
        ..Target::default()
    };
    assert_eq!(local.command(&target, out()), 1);
    eventually("one is gone", || host.registry.client_count() == 1).await;
    assert_eq!(local.command(&Target::default(), out()), 1);
    assert_eq!(one.closed().await, Received::Closed(3503));
    assert_eq!(two.closed().await, Received::Closed(3503));
}

#[tokio::test]
async fn lost_continuity_makes_clients_subscribe_again() {
    let host = host().await;
    let mut one = client(&host).await;
    one.subscribe("a").await;
    let hub = Hub::new(EncodedCounters::register(), Duration::ZERO);
    let lost = Event::Lost(LossReason::EpochChanged);
    hub.deliver(&ChannelName::from_trusted("a"), &members(&host, "a"), &lost);
    let push = one.reply().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2500, "{push}");
    one.subscribe("a").await;
    assert_eq!(members(&host, "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sessions_keep_their_times() {
    let host = host().await;
    tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.timers.run().await }
    });
    let mut stale = Client::new(pipe(&host, 1000));
    let mut mute = client(&host).await;
    assert_eq!(stale.receive().await, Received::Closed(3502));
    assert_eq!(
        mute.receive().await,
        Received::Reply(serde_json::json!({})),
        "a ping"
    );
    assert_eq!(mute.receive().await, Received::Closed(3012));
}

#[tokio::test(start_paused = true)]
async fn timeouts_that_come_and_go_leave_one_entry_in_the_wheel() {
    let host = host_with(|options, _| {
        options.expired_close_delay = Duration::ZERO;
        // The client is deaf: no ping may come due while the test lasts.
        options.ping_interval = Duration::from_secs(60);
    })
    .await;
    tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.timers.run().await }
    });
    let _one = client(&host).await;
    let connection = host.registry.all().pop().unwrap();
    for seconds in 1..10 {
        let expires_at = Some(host.clock.now() + Duration::from_secs(5 * seconds));
        for expires_at in [expires_at, None] {
            let refresh = ServerRefresh {
                expires_at,
                ..ServerRefresh::default()
            };
            connection.handle_server(ServerCommand::Refresh(refresh));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(host.registry.client_count(), 1);
    assert_eq!(host.timers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_all_are_told_over_time_and_waited_for() {
    let host = host().await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(client(&host).await);
    }
    let start = tokio::time::Instant::now();
    let told = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            assert_eq!(client.closed().await, Received::Closed(3001));
            start.elapsed()
        })
    });
    let told: Vec<_> = told.collect();
    let departure = Departure {
        timeout: Duration::from_secs(30),
        spread: Duration::from_secs(1),
    };
    let departed = host.shut_down(departure).await;
    assert_eq!((departed.told, departed.batches, departed.left), (50, 50, 0));
    assert!(host.admission.admit(host.clock.now()).is_err());
    let mut early = 0;
    for task in told {
        early += usize::from(task.await.unwrap() < departure.spread / 2);
    }
    assert!((20..=30).contains(&early), "{early} of 50 in the first half");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ignores_the_shutdown_does_not_hold_it_up() {
    let host = host().await;
    let _deaf = client(&host).await;
    let start = tokio::time::Instant::now();
    let departure = Departure {
        timeout: Duration::from_millis(500),
        spread: Duration::ZERO,
    };
    assert!(!host.shut_down(departure).await.all_gone());
    assert_eq!(start.elapsed(), departure.timeout);
}

/// How many of `clients` heard that they are to go at which moment, when they are told over a tenth of a second.
async fn told_over_a_tenth_of_a_second(clients: usize) -> (Departed, BTreeMap<Duration, usize>) {
    let host = host().await;
    let mut waiting = JoinSet::new();
    for _ in 0..clients {
        let mut client = client(&host).await;
        waiting.spawn(async move {
            assert_eq!(client.closed().await, Received::Closed(3001));
            tokio::time::Instant::now()
        });
    }
    let departure = Departure {
        timeout: Duration::from_secs(30),
        spread: Duration::from_millis(100),
    };
    let start = tokio::time::Instant::now();
    let (departed, heard) = tokio::join!(host.shut_down(departure), waiting.join_all());
    let mut told = BTreeMap::new();
    for at in heard {
        *told.entry(at - start).or_default() += 1;
    }
    (departed, told)
}

#[tokio::test(start_paused = true)]
async fn the_goodbyes_come_in_batches_of_one_size_at_even_distances() {
    let (departed, told) = told_over_a_tenth_of_a_second(48).await;
    let batches = [(0, 10), (20, 10), (40, 10), (60, 10), (80, 8)];
    let expected = batches.map(|(millis, clients)| (Duration::from_millis(millis), clients));
    assert_eq!(told, BTreeMap::from(expected));
    let all = Departed {
        told: 48,
        batches: 5,
        left: 0,
    };
    assert_eq!(departed, all);
    // Fewer than there are moments: one at each of the first.
    let (departed, told) = told_over_a_tenth_of_a_second(3).await;
    assert_eq!(
        (departed.batches, told.into_values().collect::<Vec<_>>()),
        (3, vec![1, 1, 1])
    );
}

#[tokio::test]
async fn new_rules_count_for_what_comes_and_leave_alone_what_is_there() {
    let host = host().await;
    let mut one = client(&host).await;
    one.subscribe("a").await;
    let (before, mut channels) = (host.sessions.get(), ChannelOptions::default());
    channels
        .namespaces
        .insert("new".into(), NamespaceOptions::default());
    let auth = AuthOptions::default();
    host.sessions
        .replace(SessionContext::new(before.client.clone(), channels, &auth));
    one.subscribe("new:b").await;
    let history = one.call("history", r#"{"channel":"a"}"#).await;
    assert_eq!(
        history["error"]["code"], 108,
        "there is no stream any more: {history}"
    );
    assert_eq!(members(&host, "a").len(), 1, "the subscription stays");
}

#[tokio::test]
async fn a_user_has_no_more_connections_than_allowed() {
    let host = host_with(|options, _| options.user_connection_limit = 1).await;
    // Anonymous connections are no one user's.
    let (_one, _two) = (client(&host).await, client(&host).await);
    assert_eq!(host.registry.client_count(), 2);
    let connect = format!("{{\"token\":\"{}\"}}", token("ann"));
    let mut first = Client::new(pipe(&host, 1000));
    assert!(first.call("connect", &connect).await["connect"].is_object());
    let mut second = Client::new(pipe(&host, 1000));
    second.command("connect", &connect).await;
    assert_eq!(second.closed().await, Received::Closed(3504));
    assert_eq!(host.registry.user("ann").len(), 1);
}

#[test]
fn an_idle_connection_is_small() {
    fn size_of_result<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }
    let task = size_of_result(drive::<WebSocket<tokio::net::TcpStream>>);
    assert!(task <= 512, "the task holds {task} bytes");
    let connection = size_of::<Connection>();
    println!("task {task}, connection {connection}");
    assert!(connection <= 1024, "the connection holds {connection} bytes");
}
