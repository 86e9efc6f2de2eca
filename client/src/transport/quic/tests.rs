//! Against a server of QUIC in the same process, that does what it is told to.

mod bounds;
mod early;
mod lanes;
mod server;

use campanile_common::message::{ConnectRequest, ConnectResult, Message, Push, Reply};
use campanile_common::{Codec, DisconnectCode};
use tokio::time::Instant;

use super::*;
use crate::transport::{Incoming, TransportKind};
use crate::{Closed, Connection};
use server::{Server, context, goodbye, push, recv, text_of, within};

#[tokio::test]
async fn commands_are_answered_in_each_codec() {
    within(async {
        let server = Server::new();
        for codec in Codec::ALL {
            let dialer = server.dialer();
            let (client, peer) = tokio::join!(Connection::dial(&dialer, codec), server.accept_silently());
            let mut client = client.unwrap();
            assert_eq!(client.kind(), TransportKind::Quic);
            let serve = async {
                let mut peer = peer.begin().await;
                assert_eq!((peer.preface.codec, peer.preface.lanes), (codec, true));
                let connect = peer.recv().await;
                peer.send(&[push("1")]).await;
                let result = ConnectResult {
                    client: "c1".into(),
                    ..ConnectResult::default()
                };
                peer.send(&[Reply::answer(connect.id, result), push("2")]).await;
                peer
            };
            let (result, _peer) = tokio::join!(client.connect(ConnectRequest::default()), serve);
            assert_eq!(result.unwrap().client, "c1");
            for expected in ["1", "2"] {
                assert_eq!(client.next_push().await.unwrap(), message(expected));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_says_why_it_ends_a_connection_after_all_it_has_sent() {
    within(async {
        let server = Server::new();
        let (mut transport, mut peer) = server.pair(Codec::Protobuf).await;
        let mut lane = peer.lane(7).await;
        lane.send(&[push("lane")]).await;
        lane.finish_and_wait().await;
        peer.send(&[push("last")]).await;
        peer.finish_and_wait().await;
        peer.close(DisconnectCode::Shutdown);
        let mut texts = vec![
            text_of(recv(&mut transport).await),
            text_of(recv(&mut transport).await),
        ];
        texts.sort_unstable();
        assert_eq!(texts, ["lane", "last"]);
        let closed = recv(&mut transport).await.unwrap_err();
        assert_eq!(closed.code, DisconnectCode::Shutdown.code());
        assert_eq!(closed.reason, DisconnectCode::Shutdown.reason());
    })
    .await;
}

#[tokio::test]
async fn leaving_delivers_the_last_commands_and_any_end_its_code() {
    within(async {
        let server = Server::new();
        for (code, arrives) in [(Closed::LEAVING, true), (3012, false)] {
            let (mut transport, mut peer) = server.pair(Codec::Json).await;
            transport.start_send(Codec::Json.encode_ping()).unwrap();
            let closing = goodbye(&mut transport, code, "enough");
            let serve = async {
                if arrives {
                    assert!(peer.recv().await.is_pong());
                }
                peer.closed().await
            };
            let ((), closed) = tokio::join!(closing, serve);
            assert_eq!((closed.code, closed.reason.as_str()), (code, "enough"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_transport_that_is_dropped_ends_its_connection() {
    within(async {
        let server = Server::new();
        let (transport, mut peer) = server.pair(Codec::Json).await;
        drop(transport);
        assert_eq!(peer.closed().await.code, Closed::LEAVING);
    })
    .await;
}

#[tokio::test]
async fn a_connection_survives_a_change_of_address() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer();
        let dialing = dialer.dial(context(Codec::Json));
        let (transport, peer) = tokio::join!(dialing, server.accept_silently());
        let mut transport = transport.unwrap();
        transport.start_send(Codec::Json.encode_ping()).unwrap();
        server::flush(&mut transport).await;
        let mut peer = peer.begin().await;
        assert!(peer.recv().await.is_pong());
        let before = peer.remote_address();

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let after = socket.local_addr().unwrap();
        dialer.rebind(socket).unwrap();
        assert_eq!(dialer.local_address(false), Some(after));
        transport.start_send(Codec::Json.encode_ping()).unwrap();
        server::flush(&mut transport).await;
        assert!(peer.recv().await.is_pong());
        assert_eq!(peer.remote_address(), after);
        assert_ne!(before, after);
        peer.send(&[push("still here")]).await;
        assert_eq!(text_of(recv(&mut transport).await), "still here");
    })
    .await;
}

#[tokio::test]
async fn only_the_server_that_was_meant_is_believed() {
    within(async {
        let server = Server::new();
        let open = |tls: TlsOptions| {
            let dialer = server.dialer_with(&tls);
            async move { dialer.dial(context(Codec::Json)).await }
        };
        let authority = TlsOptions::default().authority(server.pem().as_bytes()).unwrap();
        for tls in [authority, TlsOptions::default().certificate(server.hash())] {
            let (transport, _peer) = tokio::join!(open(tls), server.accept_silently());
            assert!(transport.is_ok());
        }
        let another = TlsOptions::default().certificate([7; 32].into());
        for tls in [TlsOptions::default(), another] {
            let (transport, ()) = tokio::join!(open(tls), server.refuse());
            assert!(matches!(transport, Err(OpenError::Handshake(_))));
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_there_is_a_timeout() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("quic://{}", silent.local_addr().unwrap());
    let dialer = QuicDialer::new(&url, &TlsOptions::default()).unwrap();
    let context = DialContext::new(Codec::Json, Instant::now() + Duration::from_millis(100));
    assert!(matches!(dialer.dial(context).await, Err(OpenError::Timeout)));
}

#[tokio::test]
async fn a_server_that_dies_is_noticed() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer().idle_timeout(Duration::from_secs(3));
        let dialing = dialer.dial(context(Codec::Json));
        let (transport, _peer) = tokio::join!(dialing, server.accept_silently());
        // What is sent to it arrives nowhere, and what it sends comes from elsewhere.
        server.move_away();
        let closed = recv(&mut transport.unwrap()).await.unwrap_err();
        assert_eq!(closed.code, Closed::BROKEN);
    })
    .await;
}

#[test]
fn addresses_have_a_host_and_a_port() {
    let expected = [
        ("quic://localhost:8000", Some(("localhost", 8000))),
        ("quic://[::1]:8000/", Some(("::1", 8000))),
        ("quic://10.0.0.1:1", Some(("10.0.0.1", 1))),
        ("quic://localhost", None),
        ("quic://:8000", None),
        ("quic://a:b:1", None),
        ("quic://host:99999", None),
        ("quic://host/path:1", None),
        ("wss://localhost:8000", None),
    ];
    for (url, expected) in expected {
        let found = place(url);
        let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
        assert_eq!(found, expected, "{url}");
    }
}

/// A message for everybody, as JSON.
fn message(text: &str) -> Push {
    Push {
        message: Some(Box::new(Message {
            data: format!("{text:?}").into(),
        })),
        ..Push::default()
    }
}

fn lane_push(id: u64, text: &str) -> Incoming {
    Incoming::Lane {
        id,
        push: message(text),
    }
}
