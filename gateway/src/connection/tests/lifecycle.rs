//! How connections end, and what is left of them.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::Unsubscribe;
use campanile_common::{ChannelName, DisconnectCode};
use campanile_shard_router::audience::{Audience, Event, LossReason};

use super::client::{Client, Received};
use super::world::{client, eventually, host, host_with, members, pipe, token};
use crate::cluster::{LocalGateway, Target};
use crate::config::ShutdownOptions;
use crate::connection::local::LocalConnections;
use crate::connection::{Connection, drive};
use crate::hub::{EncodedCounters, Hub};
use crate::session::{ServerCommand, ServerRefresh};
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
    let mut channels = local.channels();
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
    let options = ShutdownOptions {
        timeout: Duration::from_secs(30),
        spread: Duration::from_secs(1),
    };
    assert!(host.shut_down(options).await);
    assert!(host.admission.admit(host.clock.now()).is_err());
    let mut early = 0;
    for task in told {
        early += usize::from(task.await.unwrap() < options.spread / 2);
    }
    assert!((20..=30).contains(&early), "{early} of 50 in the first half");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ignores_the_shutdown_does_not_hold_it_up() {
    let host = host().await;
    let _deaf = client(&host).await;
    let start = tokio::time::Instant::now();
    let options = ShutdownOptions {
        timeout: Duration::from_millis(500),
        spread: Duration::ZERO,
    };
    assert!(!host.shut_down(options).await);
    assert_eq!(start.elapsed(), options.timeout);
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
