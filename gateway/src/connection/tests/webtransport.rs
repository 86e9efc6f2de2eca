//! The WebTransport endpoint over real sockets, with a client of another make.

mod client;

use std::sync::Arc;
use std::time::Duration;

use campanile_common::Codec;
use futures_util::FutureExt as _;
use web_transport_quinn::proto::{ConnectError, ConnectResponse};

use super::world::{eventually, host, host_with, publish};
use crate::connection::shutdown::Departure;
use client::{Client, PATH, Server, closed_with, patiently, settings};

/// HTTP/3's codes of the end of a connection.
const NO_ERROR: u64 = 0x100;
const PROTOCOL_ERROR: u64 = 0x101;
const INCOMPLETE: u64 = 0x10d;

#[tokio::test]
async fn clients_speak_every_codec_and_leave_nothing_behind() {
    let host = host().await;
    let server = Server::start(&host);
    for codec in Codec::ALL {
        let mut client = server.client(codec).await;
        client.subscribe("news").await;
        let offset = publish(&host, "news", "\"hello\"").await;
        let push = client.push().await;
        let publication = push.publication.expect("a publication comes");
        assert_eq!((push.channel.as_str(), publication.offset), ("news", offset));
        client.session.close(0, b"");
        eventually("it is gone", || host.admission.present() == 0).await;
        assert_eq!(host.registry.client_count(), 0);
    }
}

#[tokio::test]
async fn messages_may_come_in_pieces_and_many_at_once() {
    let host = host().await;
    let server = Server::start(&host);
    let mut client = server.client(Codec::Json).await;
    for piece in [
        "{\"id\":1",
        "1,\"ping\":{}}",
        "\n{\"id\":12,\"ping\":{}}\n{\"id\":13,",
        "\"ping\":{}}\n",
    ] {
        client.send(piece.as_bytes()).await;
    }
    for id in 11..=13 {
        let reply = client.reply().await.unwrap();
        assert_eq!((reply.id, reply.ping.is_some()), (id, true));
    }
}

#[tokio::test]
async fn requests_for_anything_else_are_refused() {
    let host = host_with(|options, _| options.connection_limit = 1).await;
    let server = Server::start(&host);
    let own = format!("https://localhost:{}", server.address.port());
    for (target, origin, status) in [
        ("/", None, 404),
        ("/connection/websocket", None, 404),
        ("/connection/webtransport/", None, 404),
        ("/connection/webtransport?cf_protocol=xml", None, 400),
        (PATH, Some("https://evil.example"), 403),
        (PATH, Some("null"), 403),
    ] {
        assert_eq!(
            server.refusal(target, origin).await,
            status,
            "{target} {origin:?}"
        );
    }
    assert_eq!(host.admission.present(), 0);
    for origin in ["https://app.example.com", &own] {
        let session = server.ask(PATH, Some(origin)).await.unwrap();
        let mut client = Client::open(session, Codec::Json).await;
        client.connect().await;
        assert_eq!(server.refusal(PATH, None).await, 503);
        drop(client);
        eventually("there is room again", || host.admission.present() == 0).await;
    }
}

#[tokio::test]
async fn an_ordinary_request_finds_nothing() {
    let host = host().await;
    let connection = Server::start(&host).connection().await;
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&settings()).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    // `GET https://x/`, in QPACK's static table.
    send.write_all(&[0x01, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 0x01, b'x'])
        .await
        .unwrap();
    match patiently(ConnectResponse::read(&mut recv)).await {
        Err(ConnectError::WrongStatus(Some(status))) => assert_eq!(status.as_u16(), 404),
        other => panic!("{other:?}"),
    }
    assert_eq!(closed_with(&connection).await, NO_ERROR);
}

#[tokio::test]
async fn what_is_no_http3_is_closed_as_that() {
    let host = host().await;
    let server = Server::start(&host);
    // Settings without WebTransport; something else than settings; the same stream over and over.
    for start in [&[0, 4, 0][..], &[0, 7, 1, 0], &[0x21]] {
        let connection = server.connection().await;
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(start).await.unwrap();
        control.finish().unwrap();
        for _ in 0..2 {
            if let Ok(mut other) = connection.open_uni().await {
                let _ = other.finish();
            }
        }
        assert_eq!(closed_with(&connection).await, PROTOCOL_ERROR, "{start:?}");
    }
    for request in [&[0x01, 3, 0xff, 0xff, 0xff][..], &[0x00, 1, 0], &[0x40, 0x41, 0]] {
        let connection = server.connection().await;
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&settings()).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(request).await.unwrap();
        assert_eq!(closed_with(&connection).await, PROTOCOL_ERROR, "{request:?}");
    }
    assert_eq!(host.admission.present(), 0);
}

#[tokio::test]
async fn a_stream_of_another_session_is_none() {
    let host = host().await;
    let server = Server::start(&host);
    let session = server.bare().await;
    let (mut send, _recv) = session.connection.open_bi().await.unwrap();
    send.write_all(&[0x40, 0x41, 4]).await.unwrap();
    assert_eq!(closed_with(&session.connection).await, PROTOCOL_ERROR);
    eventually("its place is free", || host.admission.present() == 0).await;
}

#[tokio::test]
async fn who_does_not_go_on_is_given_up() {
    // Long enough for what does go on, on a slow machine.
    let host = host_with(|options, _| options.stale_close_delay = Duration::from_secs(2)).await;
    let server = Server::start(&host);
    let silent = server.connection().await;
    assert_eq!(closed_with(&silent).await, INCOMPLETE);
    // A session without a stream.
    let session = server.bare().await;
    assert_eq!(closed_with(&session.connection).await, INCOMPLETE);
    eventually("its place is free", || host.admission.present() == 0).await;
    // A stream without `connect`.
    tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.timers.run().await }
    });
    let session = server.ask(PATH, None).await.unwrap();
    let mut client = Client::open(session, Codec::Json).await;
    client.send(b"{").await;
    let (push, code, _) = client.end().await;
    assert_eq!((push.code, code), (3502, 3502));
}

#[tokio::test]
async fn what_a_client_opens_and_sends_beside_its_stream_comes_to_nothing() {
    let host = host().await;
    let server = Server::start(&host);
    let mut client = server.client(Codec::Json).await;
    let session = client.session.clone();
    let mut more = Vec::new();
    while let Some(Ok(mut stream)) = session.open_uni().now_or_never() {
        // As much as fits into its window.
        while let Some(Ok(1..)) = stream.write(&[0; 1000]).now_or_never() {}
        more.push(stream);
    }
    assert!(more.len() <= 2, "{}", more.len());
    for number in 0..5000_u32 {
        // Dropped by either side, if they come too fast.
        let _ = session.send_datagram(number.to_be_bytes().to_vec().into());
    }
    for _ in 0..10 {
        client.ping().await;
        assert!(
            session.open_bi().now_or_never().is_none(),
            "there is one stream only"
        );
    }
}

#[tokio::test]
async fn bad_messages_end_the_session_with_the_code_of_a_bad_request() {
    let host = host().await;
    let server = Server::start(&host);
    let too_long = vec![b'x'; 65_537];
    for (codec, bytes) in [
        (Codec::Json, &b"nonsense\n"[..]),
        (Codec::Json, &too_long),
        (Codec::Protobuf, &[1, 0xff]),
        (Codec::Protobuf, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Codec::Protobuf, &[0xff; 11]),
        (Codec::MessagePack, &[1, 0xc1]),
    ] {
        let (mut bad, mut good) = (server.client(codec).await, server.client(Codec::Json).await);
        bad.send(bytes).await;
        let (push, code, reason) = bad.end().await;
        assert_eq!((push.code, code), (3501, 3501), "{codec:?} {bytes:?}");
        assert_eq!(push.reason, reason);
        good.ping().await;
    }
}

#[tokio::test]
async fn a_flood_on_the_stream_of_the_request_ends_the_session() {
    let host = host().await;
    let server = Server::start(&host);
    let mut session = server.bare().await;
    let (_send, mut recv) = session.connect().await;
    let connection = session.connection.clone();
    // Until nobody takes it any more.
    tokio::spawn(async move { while session.capsules.write_all(&[0; 1000]).await.is_ok() {} });
    let said = patiently(recv.read_to_end(100_000)).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("\"disconnect\":{\"code\":3501"), "{said}");
    assert_eq!(closed_with(&connection).await, NO_ERROR);
    eventually("its place is free", || host.admission.present() == 0).await;
}

#[tokio::test]
async fn clients_are_told_where_the_end_comes_from_and_leave() {
    let host = host().await;
    let server = Server::start(&host);
    let clients = [
        server.client(Codec::Json).await,
        server.client(Codec::Protobuf).await,
    ];
    let departure = Departure {
        timeout: Duration::from_secs(30),
        spread: Duration::ZERO,
    };
    let (departed, ends) = tokio::join!(
        host.shut_down(departure),
        futures_util::future::join_all(clients.map(Client::end))
    );
    assert!(departed.all_gone());
    for (push, code, reason) in ends {
        assert_eq!((push.code, code), (3001, 3001));
        assert_eq!((push.reason.as_str(), reason.as_str()), ("shutdown", "shutdown"));
    }
    assert_eq!(server.refusal(PATH, None).await, 503);
}

#[tokio::test]
async fn a_client_that_ends_its_stream_or_its_session_has_left() {
    let host = host().await;
    let server = Server::start(&host);
    for how in [
        "the stream's end",
        "the stream's reset",
        "the session's end",
        "the session's reset",
    ] {
        let mut session = server.bare().await;
        let (mut send, _recv) = session.connect().await;
        match how {
            "the stream's end" => send.finish().unwrap(),
            "the stream's reset" => send.reset(0_u8.into()).unwrap(),
            "the session's end" => session.capsules.finish().unwrap(),
            _ => session.capsules.reset(0_u8.into()).unwrap(),
        }
        assert_eq!(closed_with(&session.connection).await, NO_ERROR, "{how}");
        eventually("its place is free", || host.admission.present() == 0).await;
    }
}
