//! The UDP port, with real QUIC clients on the loopback interface.

mod early;
mod key_share;
mod kit;
mod lanes;
mod proxy;

use std::time::Duration;

use campanile_common::Codec;
use campanile_common::message::{Command, SubscribeRequest};
use quinn::{ConnectionError, TransportErrorCode};

use crate::config::QuicOptions;
use crate::config::options::ClientOptions;
use crate::connection::shutdown::Departure;
use crate::connection::tests::world::{eventually, publish};
use kit::{Client, Dialer, Server, closed, soon};

#[tokio::test]
async fn clients_of_each_codec_connect_and_subscribe() {
    let server = Server::start().await;
    for codec in Codec::ALL {
        let mut client = Client::open(&Dialer::new(), &server, codec).await;
        client
            .send(&Command {
                id: 1,
                connect: Some(Box::default()),
                ..Command::default()
            })
            .await;
        assert!(client.reply().await["connect"]["client"].is_string());
        client
            .send(&Command {
                id: 2,
                subscribe: Some(Box::new(SubscribeRequest {
                    channel: "news".into(),
                    ..SubscribeRequest::default()
                })),
                ..Command::default()
            })
            .await;
        assert_eq!(client.reply().await["subscribe"]["positioned"], true);
        publish(&server.host, "news", "\"hello\"").await;
        assert_eq!(client.publication().await["data"], "hello");
        client.connection.close(0_u32.into(), b"");
    }
    eventually("all are gone", || server.host.admission.present() == 0).await;
    assert_eq!(server.outcomes("begun"), 3);
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_at_once() {
    let server = Server::start().await;
    let client = server.client().await;
    client.connection.close(0_u32.into(), b"bye");
    eventually("it is gone", || server.host.admission.present() == 0).await;
    let mut client = server.client().await;
    client.send.finish().unwrap();
    assert_eq!(client.closed().await.0, 0, "the end of its stream is its goodbye");
    let mut client = server.client().await;
    client.send.reset(7_u32.into()).unwrap();
    assert_eq!(client.closed().await.0, 0, "so is a reset of it");
    eventually("all are gone", || server.host.admission.present() == 0).await;
}

#[tokio::test]
async fn the_code_of_a_disconnect_follows_what_was_said_before() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .send
        .write_all(b"{\"id\":2,\"ping\":{}}\n{\"id\":3,\"connect\":{}}\n")
        .await
        .unwrap();
    assert_eq!(client.reply().await["id"], 2);
    assert!(client.receive().await.is_none(), "the stream ends");
    assert_eq!(client.closed().await, (3501, "bad request".into()));
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_is_told_which() {
    let server = Server::start().await;
    for (begin, reason) in [
        (&b"\x04\x00"[..], "the stream begins with what is no codec"),
        (
            &[&b"\x01\x00"[..], &[b'x'; 1001]].concat(),
            "the message is too long",
        ),
        (b"\x02\x00\xe9\x07", "the message is too long"),
        (
            b"\x03\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "the length is malformed",
        ),
    ] {
        let connection = Dialer::new().connect(&server).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(begin).await.unwrap();
        assert_eq!(closed(&connection).await, (3501, reason.into()));
    }
    let connection = Dialer::new().connect(&server).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[1]).await.unwrap();
    send.finish().unwrap();
    assert_eq!(closed(&connection).await.0, 3501, "half of the first bytes");
    assert_eq!(server.outcomes("malformed"), 2);
    eventually("all are gone", || server.host.admission.present() == 0).await;
}

#[tokio::test]
async fn a_second_stream_is_one_too_many() {
    let server = Server::start().await;
    let client = server.client().await;
    let (mut send, _recv) = client.connection.open_bi().await.unwrap();
    send.write_all(b"\x01\x00").await.unwrap();
    assert_eq!(
        client.closed().await,
        (3501, "one stream is all there may be".into())
    );
    let client = server.client().await;
    let mut send = client.connection.open_uni().await.unwrap();
    send.write_all(b"x").await.unwrap();
    assert_eq!(client.closed().await.0, 3501);
}

#[tokio::test]
async fn only_protocols_that_are_spoken_are_agreed_upon() {
    let server = Server::start().await;
    for protocol in [&b"campanile/2"[..], b"h3"] {
        let error = Dialer::speaking(protocol).connect(&server).await.unwrap_err();
        let ConnectionError::ConnectionClosed(close) = error else {
            panic!("{error}");
        };
        // RFC 9001 §4.8, RFC 7301 §3.2: the alert no_application_protocol.
        assert_eq!(u64::from(close.error_code), 0x178);
    }
    // Whoever hears nothing for a second begins again.
    eventually("both are counted", || server.outcomes("failed") >= 2).await;
}

#[tokio::test]
async fn a_client_must_begin_in_time() {
    // Long enough for a handshake, however busy the machine is.
    let hurry = |_: &mut QuicOptions, client: &mut ClientOptions| {
        client.stale_close_delay = Duration::from_secs(5);
    };
    let server = Server::start_with(hurry).await;
    let silent = Dialer::new().connect(&server).await.unwrap();
    let half = Client::open(&Dialer::new(), &server, Codec::Json).await;
    assert_eq!(closed(&silent).await, (3502, "stale".into()), "without a stream");
    assert_eq!(half.closed().await, (3502, "stale".into()), "without a command");
    assert_eq!((server.outcomes("stale"), server.outcomes("begun")), (1, 1));
}

#[tokio::test]
async fn a_message_that_never_ends_costs_no_more_than_the_limit() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send.write_all(b"{\"id\":9,").await.unwrap();
    // Others do not notice.
    let mut other = server.client().await;
    other.subscribe("news").await;
    publish(&server.host, "news", "1").await;
    assert_eq!(other.publication().await["data"], 1);
    client.send.write_all(b"\"ping\":{}}\n").await.unwrap();
    assert_eq!(client.reply().await["id"], 9, "it is waited for");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_slow() {
    let small = |_: &mut QuicOptions, client: &mut ClientOptions| client.queue_max_size = 100_000;
    let server = Server::start_with(small).await;
    let mut client = server.client().await;
    client.subscribe("news").await;
    // The client's window, this side's and the queue hold some, and no more.
    let data = format!("\"{}\"", "x".repeat(50_000));
    soon("the end", async {
        while server.host.admission.present() > 0 {
            publish(&server.host, "news", &data).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(client.closed().await, (3008, "slow".into()));
}

#[tokio::test]
async fn garbage_to_the_port_disturbs_nobody() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.subscribe("news").await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for length in (0..1200).step_by(7) {
        let mut datagram = Vec::with_capacity(length);
        for _ in 0..length {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            datagram.push(noise.to_le_bytes()[3]);
        }
        // With and without the look of a long header, of version 1 and of another.
        for first in [0x00, 0x40, 0xc0, 0xff] {
            let version: &[u8] = if length % 2 == 0 {
                &[0, 0, 0, 1]
            } else {
                &[9, 9, 9, 9]
            };
            let head = [&[first], version].concat();
            let _ = socket
                .send_to(&[&head, &datagram[..]].concat(), server.port.address())
                .await;
        }
    }
    publish(&server.host, "news", "1").await;
    assert_eq!(client.publication().await["data"], 1);
    drop(server.client().await);
}

#[tokio::test]
async fn connections_above_the_limit_are_turned_away() {
    let server = Server::start_with(|_, client| client.connection_limit = 1).await;
    let first = server.client().await;
    let second = Client::open(&Dialer::new(), &server, Codec::Json).await;
    let (code, reason) = second.closed().await;
    assert_eq!(code, 3013, "it may come back");
    assert_eq!(reason, "this gateway has as many connections as it may have");
    first.connection.close(0_u32.into(), b"");
    eventually("there is room again", || server.host.admission.present() == 0).await;
    server.client().await;
    assert_eq!(server.outcomes("no_place"), 1);
}

#[tokio::test]
async fn a_crowd_has_to_prove_its_addresses_and_is_refused_above_a_number() {
    let narrow = |options: &mut QuicOptions, client: &mut ClientOptions| {
        options.handshakes_before_retry = 2;
        options.max_handshakes = 4;
        client.stale_close_delay = Duration::from_secs(600);
    };
    let server = Server::start_with(narrow).await;
    let mut before = server.client().await;
    let mut silent = Vec::new();
    for is_asked in [false, false, true, true] {
        let asked = server.outcomes("retry");
        silent.push(Dialer::new().connect(&server).await.unwrap());
        // A client that repeats its first packet is asked for each.
        assert_eq!(server.outcomes("retry") > asked, is_asked);
    }
    let error = Dialer::new().connect(&server).await.unwrap_err();
    let ConnectionError::ConnectionClosed(close) = error else {
        panic!("{error}");
    };
    assert_eq!(close.error_code, TransportErrorCode::CONNECTION_REFUSED);
    assert!(server.outcomes("refused") >= 1);
    before.subscribe("news").await;
    publish(&server.host, "news", "1").await;
    assert_eq!(before.publication().await["data"], 1, "who is in does not notice");
    silent.clear();
    eventually("all have gone", || {
        server.metric("campanile_quic_handshakes ") == 0
    })
    .await;
    let asked = server.outcomes("retry");
    server.client().await;
    assert_eq!((server.outcomes("left"), server.outcomes("retry")), (4, asked));
}

#[tokio::test]
async fn at_the_end_clients_are_sent_elsewhere_and_nobody_comes_in() {
    let server = Server::start().await;
    let clients = [server.client().await, server.client().await];
    let silent = Dialer::new().connect(&server).await.unwrap();
    let departure = Departure {
        timeout: Duration::from_secs(60),
        spread: Duration::ZERO,
    };
    let departed = soon("the goodbyes", server.host.shut_down(departure)).await;
    assert_eq!((departed.told, departed.left), (2, 0));
    for client in &clients {
        assert_eq!(client.closed().await, (3001, "shutdown".into()));
    }
    let error = Dialer::new().connect(&server).await.unwrap_err();
    let ConnectionError::ConnectionClosed(close) = error else {
        panic!("{error}");
    };
    assert_eq!(close.error_code, TransportErrorCode::CONNECTION_REFUSED);
    assert!(server.outcomes("shutdown") >= 1);
    soon("the end of the port", server.port.stop()).await;
    assert_eq!(closed(&silent).await, (3001, "shutdown".into()));
}

#[tokio::test]
async fn a_client_keeps_its_connection_when_its_address_changes() {
    const MESSAGES: u64 = 2000;
    let server = Server::start().await;
    let dialer = Dialer::new();
    let client = Client::open(&dialer, &server, Codec::Json).await;
    let mut client = client.connected().await;
    client.subscribe("news").await;
    let mut received = 0;
    for number in 1..=MESSAGES {
        publish(&server.host, "news", &number.to_string()).await;
        if number % 400 == 0 {
            dialer
                .endpoint
                .rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
                .unwrap();
        }
        if number % 50 == 25 || number == MESSAGES {
            while received < number {
                received += 1;
                assert_eq!(client.publication().await["data"], received);
            }
        }
    }
    assert!(client.connection.close_reason().is_none());
    assert_eq!(server.outcomes("begun"), 1);
}
