//! A connection against a server end within the process: no sockets.

use campanile_common::message::{
    ConnectRequest, ConnectResult, Message as Payload, PingRequest, PublishResult,
};
use campanile_common::{DisconnectCode, ErrorCode};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::transport::testing::{Server, pair as transports};

async fn pair(codec: Codec) -> (Connection, Server) {
    let (transport, server) = transports(codec).await;
    (Connection::over(transport), server)
}

fn push(text: &'static str) -> Reply {
    Reply::push(Push {
        message: Some(Box::new(Payload { data: text.into() })),
        ..Push::default()
    })
}

#[tokio::test]
async fn a_request_finds_its_answer_and_pushes_wait() {
    for codec in Codec::ALL {
        let (mut client, mut server) = pair(codec).await;
        let serve = async {
            let connect = server.recv().await;
            assert!(connect.connect.is_some());
            server.send(&[push("1"), push("2")]).await;
            let result = ConnectResult {
                client: "c1".into(),
                ..Default::default()
            };
            server
                .send(&[push("3"), Reply::answer(connect.id, result), push("4")])
                .await;
        };
        let (result, ()) = tokio::join!(client.connect(ConnectRequest::default()), serve);
        assert_eq!(result.unwrap().client, "c1");
        for expected in ["1", "2", "3", "4"] {
            assert_eq!(client.next_push().await.unwrap().message.unwrap().data, expected);
        }
    }
}

#[tokio::test]
async fn error_replies_and_wrong_answers_are_errors() {
    let (mut client, mut server) = pair(Codec::Json).await;
    let serve = async {
        let publish = server.recv().await;
        server
            .send(&[Reply::error(publish.id, ErrorCode::PermissionDenied)])
            .await;
        let presence = server.recv().await;
        assert_eq!(presence.id, publish.id + 1);
        server.send(&[Reply::answer(presence.id, PublishResult {})]).await;
    };
    let ask = async {
        assert_eq!(client.publish("c", "{}").await.unwrap_err().code(), Some(103));
        assert_eq!(client.presence("c").await, Err(RequestError::Unexpected));
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn pings_are_answered_unless_told_otherwise() {
    for codec in Codec::ALL {
        let (mut client, mut server) = pair(codec).await;
        server.send(&[Reply::default(), push("1")]).await;
        client.recv().await.unwrap();
        assert!(server.recv().await.is_pong());

        client.answer_pings(false);
        server.send(&[Reply::default(), push("2")]).await;
        client.recv().await.unwrap();
        client.send(&Command::new(7, PingRequest {})).await.unwrap();
        assert_eq!(server.recv().await.id, 7, "no pong before it");
    }
}

#[tokio::test]
async fn the_end_says_why_and_stands() {
    let (mut client, mut server) = pair(Codec::Protobuf).await;
    let code = DisconnectCode::Stale;
    let frame = CloseFrame {
        code: u16::try_from(code.code()).unwrap().into(),
        reason: code.reason().into(),
    };
    server.send(&[push("last")]).await;
    server.socket.close(Some(frame)).await.unwrap();
    assert!(client.recv().await.is_ok());
    let closed = client.recv().await.unwrap_err();
    assert_eq!(
        closed,
        Closed {
            code: 3502,
            reason: "stale".into()
        }
    );
    assert!(!closed.reconnects());
    assert_eq!(client.send(&Command::default()).await, Err(closed.clone()));
    assert_eq!(client.closed().await, closed);
}

#[tokio::test]
async fn a_broken_connection_has_a_code_of_its_own() {
    let (mut client, server) = pair(Codec::Json).await;
    drop(server);
    assert_eq!(client.recv().await.unwrap_err().code, Closed::BROKEN);
}

#[tokio::test]
async fn malformed_frames_end_the_connection() {
    let (mut client, mut server) = pair(Codec::Json).await;
    server.socket.send(Message::text("{}\nnonsense")).await.unwrap();
    assert_eq!(client.recv().await.unwrap_err().code, Closed::MALFORMED);
    assert_eq!(client.recv().await.unwrap_err().code, Closed::MALFORMED);
}

#[tokio::test]
async fn a_full_inbox_ends_the_connection() {
    let (mut client, mut server) = pair(Codec::Protobuf).await;
    let flood = vec![push("x"); INBOX_LIMIT + 1];
    let (result, ()) = tokio::join!(client.publish("c", "1"), server.send(&flood));
    assert!(matches!(result, Err(RequestError::Closed(closed)) if closed.code == Closed::INBOX_FULL));
    assert!(
        client.next_push().await.is_ok(),
        "what is in the inbox can still be taken"
    );
}

#[test]
fn only_websocket_addresses_are_dialled() {
    assert!(matches!(
        WebSocketDialer::new("not an address"),
        Err(OpenError::Address(_))
    ));
    assert!(matches!(
        WebSocketDialer::new("http://x/"),
        Err(OpenError::Address(_))
    ));
    assert!(matches!(
        WebSocketDialer::new("ws://x/").unwrap().header("bad header", ""),
        Err(OpenError::Address(_))
    ));
}
