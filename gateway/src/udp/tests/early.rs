//! What is sent before the handshake is done.

use std::net::SocketAddr;
use std::time::Duration;

use campanile_common::Codec;
use quinn::{Connection, ZeroRttAccepted};
use tokio::net::UdpSocket;

use super::kit::{Client, Dialer, Server, soon};
use super::proxy::Proxy;
use crate::config::QuicOptions;
use crate::config::options::ClientOptions;
use crate::connection::tests::world::{eventually, members};

/// Gets a ticket.
async fn visit(dialer: &Dialer, server: &Server) {
    let client = Client::open(dialer, server, Codec::Json).await;
    let client = client.connected().await;
    client.connection.close(0_u32.into(), b"");
}

/// A connection to `address`, which leads to `server`, before its handshake is done.
async fn early(dialer: &Dialer, server: &Server, address: SocketAddr) -> (Connection, ZeroRttAccepted) {
    soon("a ticket", async {
        loop {
            visit(dialer, server).await;
            if let Ok(begun) = dialer.dial(address).into_0rtt() {
                return begun;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_client_that_comes_back_connects_with_its_first_packets() {
    let server = Server::start().await;
    let dialer = Dialer::new();
    let (connection, accepted) = early(&dialer, &server, server.port.address()).await;
    let client = Client::begin(connection, Codec::Json).await;
    let mut client = client.connected().await;
    assert!(soon("the handshake", accepted).await);
    assert_eq!(server.metric("campanile_quic_early_connections_total "), 1);
    client.subscribe("news").await;
}

#[tokio::test]
async fn until_the_handshake_is_done_nothing_but_connect_is_carried_out() {
    let server = Server::start().await;
    let dialer = Dialer::new();
    let proxy = Proxy::start(server.port.address()).await;
    let (connection, _accepted) = early(&dialer, &server, proxy.address).await;
    let mut client = Client::begin(connection, Codec::Json).await;
    client.command("connect", "{}").await;
    client.command("subscribe", r#"{"channel":"news"}"#).await;
    // The server answers before it hears of the client again.
    assert!(client.reply().await["connect"].is_object());
    assert_eq!(server.metric("campanile_quic_early_connections_total "), 1);
    assert!(members(&server.host, "news").is_empty());
    proxy.open();
    assert!(client.reply().await["subscribe"].is_object());
}

#[tokio::test]
async fn a_first_command_that_is_not_connect_ends_the_connection() {
    let server = Server::start().await;
    let dialer = Dialer::new();
    let (connection, _accepted) = early(&dialer, &server, server.port.address()).await;
    let mut client = Client::begin(connection, Codec::Json).await;
    client.command("subscribe", r#"{"channel":"news"}"#).await;
    assert_eq!(client.closed().await, (3501, "bad request".into()));
    assert!(members(&server.host, "news").is_empty());
}

#[tokio::test]
async fn a_copy_of_the_first_packets_connects_nobody() {
    // What the copy has begun is still there when it is looked for.
    let patient =
        |_: &mut QuicOptions, client: &mut ClientOptions| client.stale_close_delay = Duration::from_secs(600);
    let server = Server::start_with(patient).await;
    let dialer = Dialer::new();
    let proxy = Proxy::start(server.port.address()).await;
    proxy.open();
    let (connection, accepted) = early(&dialer, &server, proxy.address).await;
    let client = Client::begin(connection, Codec::Json).await.connected().await;
    assert!(soon("the handshake", accepted).await);
    let begun = server.outcomes("begun");
    // While the first connection lives, a copy belongs to it.
    client.connection.close(0_u32.into(), b"");
    soon("its end", dialer.endpoint.wait_idle()).await;
    eventually("it is forgotten", || server.port.connections() == 0).await;

    let replayer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in proxy.first_flight() {
        replayer.send_to(&datagram, server.port.address()).await.unwrap();
    }
    soon("an answer to the copy", replayer.recv(&mut [0; 2000]))
        .await
        .unwrap();
    visit(&Dialer::new(), &server).await;
    assert_eq!(server.metric("campanile_quic_early_connections_total "), 1);
    assert_eq!(server.outcomes("begun"), begun + 1, "that of the visit");
    assert_eq!(
        server.metric("campanile_quic_handshakes "),
        1,
        "the copy's goes on"
    );
}

#[tokio::test]
async fn where_it_is_off_nobody_connects_with_the_first_packets() {
    let server = Server::start_with(|options, _| options.zero_rtt = false).await;
    let dialer = Dialer::new();
    for _ in 0..3 {
        visit(&dialer, &server).await;
        let Err(connecting) = dialer.dial(server.port.address()).into_0rtt() else {
            panic!("there was a ticket");
        };
        drop(soon("a handshake", connecting).await);
    }
}
