//! The first command as early data.

use campanile_common::message::{Command, ConnectRequest, PingRequest};

use super::*;

/// A connection over which a ticket has come: a server sends those with what follows the handshake.
async fn first_connection(server: &Server, dialer: &QuicDialer) {
    let (mut transport, mut peer) = server.pair_with(dialer, Codec::Protobuf).await;
    peer.send(&[push("after the handshake")]).await;
    recv(&mut transport).await.unwrap();
    goodbye(&mut transport, Closed::LEAVING, "").await;
    peer.closed().await;
}

/// Opens a connection with a first command, sends another one, and returns what the server reads.
async fn reconnect(server: &Server, dialer: &QuicDialer) -> [Command; 2] {
    let first = Command::new(1, ConnectRequest::default());
    let second = Command::new(2, PingRequest {});
    let codec = Codec::Protobuf;
    let dialing = dialer.dial(context(codec).with_first(codec.encode_command(&first)));
    let (transport, accepted) = tokio::join!(dialing, server.accept_silently());
    let mut transport = transport.unwrap();
    transport.start_send(codec.encode_command(&second)).unwrap();
    server::flush(&mut transport).await;
    let mut peer = accepted.begin().await;
    [peer.recv().await, peer.recv().await]
}

fn is_whole(commands: &[Command; 2]) -> bool {
    commands[0].connect.is_some() && commands[1].id == 2
}

#[tokio::test]
async fn a_later_connection_sends_its_first_command_early() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer();
        first_connection(&server, &dialer).await;
        assert_eq!(dialer.stats(), QuicStats::default());
        assert!(is_whole(&reconnect(&server, &dialer).await));
        assert_eq!(dialer.stats().early_data_accepted, 1);
        assert_eq!(dialer.stats().early_data_refused, 0);
    })
    .await;
}

#[tokio::test]
async fn early_data_that_is_refused_is_sent_again_once() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer();
        first_connection(&server, &dialer).await;
        server.forget();
        assert!(is_whole(&reconnect(&server, &dialer).await));
        assert_eq!(dialer.stats().early_data_accepted, 0);
        assert_eq!(dialer.stats().early_data_refused, 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_early_unless_it_may_be() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer().early_data(false);
        first_connection(&server, &dialer).await;
        assert!(is_whole(&reconnect(&server, &dialer).await));
        assert_eq!(dialer.stats(), QuicStats::default());
    })
    .await;
}
