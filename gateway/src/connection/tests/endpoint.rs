//! The WebSocket endpoint over real sockets, behind a real HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, Received};
use super::world::{eventually, host, host_with, publish, websocket_options};
use crate::connection::endpoint;
use crate::connection::entrance::Entrance;
use crate::connection::host::Host;
use crate::transport::origin::AllowedOrigins;

async fn serve(host: &Arc<Host>) -> SocketAddr {
    let origins = AllowedOrigins::new(["https://*.example.com"]);
    let entrance = Entrance::new(Arc::clone(host), origins);
    let handler = endpoint::websocket(entrance, websocket_options());
    let app = axum::Router::new().route("/connection/websocket", handler);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends a handshake; gives the stream and the head of the answer.
async fn handshake(address: SocketAddr, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(stream.read_u8().await.unwrap()));
    }
    (stream, head.to_lowercase())
}

#[tokio::test]
async fn clients_connect_over_tcp() {
    let host = host().await;
    let address = serve(&host).await;
    let (stream, head) = handshake(address, "").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    let mut client = Client::connected(stream).await;
    client.subscribe("news").await;
    publish(&host, "news", "\"hello\"").await;
    assert_eq!(client.publication().await["data"], "hello");
    drop(client);
    eventually("it is gone", || host.admission.present() == 0).await;
}

#[tokio::test]
async fn what_follows_the_handshake_at_once_is_not_lost() {
    let host = host().await;
    let address = serve(&host).await;
    // A frame in the same segment as the request: the HTTP server reads it, too.
    let command = "{\"id\":1,\"connect\":{}}";
    let length = char::from(0x80 | u8::try_from(command.len()).unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request =
        b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
    request.extend([0x81, u8::try_from(u32::from(length)).unwrap(), 0, 0, 0, 0]);
    request.extend(command.as_bytes());
    stream.write_all(&request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let Received::Reply(reply) = Client::new(stream).receive().await else {
        panic!("the command must be answered");
    };
    assert!(reply["connect"].is_object(), "{reply}");
}

#[tokio::test]
async fn the_subprotocol_chooses_the_codec() {
    let host = host().await;
    let address = serve(&host).await;
    let protocol = "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n";
    let (mut stream, head) = handshake(address, protocol).await;
    assert!(
        head.contains("sec-websocket-protocol: centrifuge-protobuf"),
        "{head}"
    );
    // `{id: 1, connect: {}}`, preceded by its length.
    stream
        .write_all(&[0x82, 0x85, 0, 0, 0, 0, 4, 0x08, 1, 0x22, 0])
        .await
        .unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 0x82);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let host = host().await;
    let address = serve(&host).await;
    for (origin, status) in [
        ("https://evil.example", "403"),
        ("null", "403"),
        ("https://app.example.com", "101"),
        (&format!("http://{address}"), "101"),
    ] {
        let (_, head) = handshake(address, &format!("Origin: {origin}\r\n")).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{origin}: {head}"
        );
    }
}

#[tokio::test]
async fn connections_above_the_limit_are_asked_to_come_back_later() {
    let host = host_with(|options, _| options.connection_limit = 1).await;
    let address = serve(&host).await;
    let (first, head) = handshake(address, "").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    let (_, head) = handshake(address, "").await;
    assert!(
        head.starts_with("http/1.1 503 ") && head.contains("retry-after: 2"),
        "{head}"
    );
    drop(first);
    eventually("there is room again", || host.admission.present() == 0).await;
    let (_, head) = handshake(address, "").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
}

#[tokio::test]
async fn a_plain_request_is_told_what_this_is() {
    let host = host().await;
    let address = serve(&host).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}
