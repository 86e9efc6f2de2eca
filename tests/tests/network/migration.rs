//! A client whose address changes in the middle of things: the connection goes on, and nothing is lost.
//!
//! The clients here are bare connections, which never reconnect: one that has received everything is the one that it was.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use campanile_client::Connection;
use campanile_client::transport::{QuicDialer, TransportKind};
use campanile_common::message::{Command, PingRequest};
use campanile_tests::api::Api;
use campanile_tests::gateway::Gateway;
use campanile_tests::link::{CLIENT, Conditions, change_address};
use campanile_tests::wait::SOON;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::nat::Nat;
use crate::world::{World, config, connect, quic, subscribe};

const MESSAGES: u64 = 10_000;

/// Publications in one request.
const BATCH: usize = 50;

/// How far the publisher is ahead of the client at most: little enough for the client's queue at the gateway, and more
/// than is under way, so that the change always meets messages.
const AHEAD: u64 = 1000;

/// The messages at which the client's address changes.
const CHANGES: [u64; 3] = [2000, 4500, 7000];

const CHANNEL: &str = "numbers";

/// The client's addresses in turn.
const ADDRESSES: [Ipv4Addr; CHANGES.len() + 1] = [
    CLIENT,
    Ipv4Addr::new(10, 77, 0, 3),
    Ipv4Addr::new(10, 77, 0, 4),
    Ipv4Addr::new(10, 77, 0, 5),
];

/// How the client's address changes.
enum Change {
    /// It goes on over another socket.
    Socket(Arc<QuicDialer>),
    /// A router on its way forgets it.
    Router(Nat),
    /// It is given another address, as in another network.
    Network,
}

impl Change {
    /// Changes it for the time of this number.
    async fn make(&self, time: usize) -> Result<()> {
        match self {
            Self::Socket(dialer) => {
                let before = dialer.local_address(false);
                dialer.rebind(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?)?;
                ensure!(dialer.local_address(false) != before, "{before:?}");
                Ok(())
            }
            Self::Router(nat) => nat.forget().await,
            Self::Network => change_address(ADDRESSES[time], ADDRESSES[time + 1]),
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_another_socket_misses_nothing() -> Result<()> {
    let gateway = Gateway::start(&config().set("http_server.address", "127.0.0.1")).await?;
    let dialer = Arc::new(quic(gateway.udp().address, &gateway)?);
    let mut connection = connect(&*dialer).await?;
    let publishing = Publishing::start(gateway.api());
    count(&mut connection, publishing, Change::Socket(dialer)).await
}

#[tokio::test]
async fn a_client_whose_router_forgets_it_misses_nothing() -> Result<()> {
    let gateway = Gateway::start(&config().set("http_server.address", "127.0.0.1")).await?;
    let nat = Nat::before(gateway.udp().address).await?;
    let dialer = quic(nat.address(), &gateway)?;
    let mut connection = connect(&dialer).await?;
    let publishing = Publishing::start(gateway.api());
    count(&mut connection, publishing, Change::Router(nat)).await
}

#[tokio::test]
async fn a_client_that_moves_to_another_network_misses_nothing() -> Result<()> {
    let world = World::start(Conditions::default(), config()).await?;
    let dialer = quic(world.gateway.udp().address, &world.gateway)?;
    let api = world.gateway.api();
    let publishing = world.link.server().run(async { Publishing::start(api) }).await;
    let counted = world.link.client().run(async move {
        let mut connection = connect(&dialer).await?;
        count(&mut connection, publishing, Change::Network).await
    });
    counted.await
}

/// Receives all messages in their order, and makes a `change` at each of [`CHANGES`].
async fn count(connection: &mut Connection, publishing: Publishing, change: Change) -> Result<()> {
    assert_eq!(connection.kind(), TransportKind::Quic);
    subscribe(connection, CHANNEL).await?;
    publishing.received.send_replace(Some(0));
    for expected in 1..=MESSAGES {
        // A reply or a push: what is no publication is an answer to the pings below.
        let publication = loop {
            let received = timeout(SOON, connection.next_push()).await;
            let push = received.with_context(|| format!("waiting for message {expected}"))??;
            if let Some(publication) = push.publication {
                break publication;
            }
        };
        let number: u64 = serde_json::from_slice(&publication.data)?;
        ensure!(number == expected, "{number} came where {expected} was due");
        publishing.received.send_replace(Some(number));
        if let Some(index) = CHANGES.iter().position(|at| *at == number) {
            change.make(index).await?;
            // The server learns of the new address by what comes from there, and a client that only listens might say nothing.
            connection.send(&ping()).await?;
        }
    }
    publishing.task.await?
}

fn ping() -> Command {
    Command {
        id: u32::MAX,
        ping: Some(PingRequest::default()),
        ..Command::default()
    }
}

/// Numbered messages on their way.
struct Publishing {
    /// The last number that the client has; none as long as it does not listen.
    received: watch::Sender<Option<u64>>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Publishing {
    /// Publishes once the client listens.
    fn start(api: Api) -> Self {
        let (received, mut progress) = watch::channel(None);
        let task = tokio::spawn(async move {
            for first in (1..=MESSAGES).step_by(BATCH) {
                progress
                    .wait_for(|received| received.is_some_and(|received| first <= received + AHEAD))
                    .await?;
                let commands: Vec<Value> = (first..)
                    .take(BATCH)
                    .map(|number| json!({ "publish": { "channel": CHANNEL, "data": number } }))
                    .collect();
                api.call("batch", &json!({ "commands": commands })).await?;
            }
            Ok(())
        });
        Self { received, task }
    }
}
