//! Streams of single channels, and datagrams.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::native::{self, Preface};
use campanile_common::{ChannelName, Codec};
use campanile_shard_router::publication::Publication;
use campanile_shard_router::router::Publish;
use quinn::{RecvStream, TransportConfig};
use serde_json::Value;

use super::kit::{Client, Dialer, Server, soon};
use crate::config::options::NamespaceOptions;
use crate::connection::shutdown::Departure;

/// What a stream that nobody reads takes.
const WINDOW: u32 = 2000;

/// Clients that take streams and datagrams. Of what they do not read they take little on a stream, and much on all of
/// them together.
fn windows() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(WINDOW.into());
    transport.receive_window((1u32 << 20).into());
    transport
}

async fn client_with(server: &Server, transport: TransportConfig, codec: Codec) -> Client {
    let preface = Preface {
        codec,
        lanes: true,
        datagrams: true,
    };
    let connection = Dialer::new()
        .with_transport(transport)
        .connect(server)
        .await
        .unwrap();
    Client::begin_with(connection, preface).await
}

async fn client(server: &Server) -> Client {
    let client = client_with(server, windows(), Codec::Json).await;
    client.connected().await
}

/// Subscribes and gives the subscription's number; 0: it has none.
async fn subscribe(client: &mut Client, channel: &str) -> u64 {
    let reply = client
        .call("subscribe", &format!("{{\"channel\":\"{channel}\"}}"))
        .await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    reply["subscribe"]["id"].as_u64().unwrap_or(0)
}

async fn publish(server: &Server, channel: &str, data: &str) {
    let channel = ChannelName::from_trusted(channel);
    let host = &server.host;
    let publish = Publish {
        publication: Publication {
            offset: campanile_common::Offset::ZERO,
            data: Bytes::copy_from_slice(data.as_bytes()),
            info: None,
            tags: std::collections::BTreeMap::new(),
            time: host.clock.now(),
        },
        stream: host.sessions.get().channels.resolve(&channel).unwrap().stream(),
        idempotency: None,
        version: None,
        channel,
    };
    host.router.publish(publish).await.unwrap();
}

/// A channel's stream, as a client sees it.
struct Lane {
    recv: RecvStream,
    id: u64,
    received: Vec<u8>,
}

impl Lane {
    async fn accept(client: &Client) -> Self {
        let recv = soon("a stream", client.connection.accept_uni()).await.unwrap();
        Self::begin(recv).await
    }

    async fn begin(mut recv: RecvStream) -> Self {
        let mut header = [0; 2];
        recv.read_exact(&mut header).await.unwrap();
        assert_eq!(header[0], native::LANE);
        assert!(header[1] < 0x80, "few subscriptions have short numbers");
        Self {
            recv,
            id: header[1].into(),
            received: Vec::new(),
        }
    }

    /// The data of the next publication, JSON codec; `None` at the end.
    async fn data(&mut self) -> Option<Value> {
        let push = soon("a push", self.push()).await?;
        let data = &push["push"]["pub"]["data"];
        assert!(!data.is_null(), "{push}");
        Some(data.clone())
    }

    async fn push(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<_> = self.received.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let mut buffer = [0; 1024];
            match self.recv.read(&mut buffer).await.unwrap() {
                Some(count) => self.received.extend(&buffer[..count]),
                None => {
                    assert_eq!(self.received, b"", "the end is between two messages");
                    return None;
                }
            }
        }
    }
}

#[tokio::test]
async fn each_channel_has_a_stream() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    let (a, b) = (
        subscribe(&mut client, "a").await,
        subscribe(&mut client, "b").await,
    );
    assert_eq!((a, b), (1, 2));
    for number in 0..3 {
        publish(&server, "a", &number.to_string()).await;
        publish(&server, "b", &(10 + number).to_string()).await;
    }
    let mut lanes = [Lane::accept(&client).await, Lane::accept(&client).await];
    lanes.sort_by_key(|lane| lane.id);
    let [first, second] = &mut lanes;
    assert_eq!((first.id, second.id), (a, b));
    for number in 0..3 {
        assert_eq!(first.data().await, Some(number.into()));
        assert_eq!(second.data().await, Some((10 + number).into()));
    }
}

#[tokio::test]
async fn streams_and_datagrams_carry_every_codec() {
    let server = lossy().await;
    for codec in Codec::ALL {
        let mut client = client_with(&server, windows(), codec).await;
        let commands = [
            r#"{"id":1,"connect":{}}"#,
            r#"{"id":2,"subscribe":{"channel":"kept:a"}}"#,
            r#"{"id":3,"subscribe":{"channel":"lossy:a"}}"#,
        ];
        for command in commands {
            client.send(&serde_json::from_str(command).unwrap()).await;
            client.reply().await;
        }
        publish(&server, "kept:a", "1").await;
        publish(&server, "lossy:a", "2").await;
        let mut recv = soon("a stream", client.connection.accept_uni()).await.unwrap();
        let data = |replies: Bytes| {
            let reply = codec.decode_replies(&replies).next().unwrap().unwrap();
            let push = reply.push.unwrap();
            (push.channel, push.publication.unwrap().data)
        };
        let mut received = Vec::new();
        let on_stream = loop {
            let mut buffer = [0; 256];
            let count = soon("a push", recv.read(&mut buffer)).await.unwrap().unwrap();
            received.extend(&buffer[..count]);
            // A whole message ends the loop: it is all that was published.
            if let Some(Ok(_)) = codec
                .decode_replies(&Bytes::copy_from_slice(received.get(2..).unwrap_or_default()))
                .next()
            {
                break Bytes::from(received.split_off(2));
            }
        };
        assert_eq!(received, [native::LANE, 1]);
        assert_eq!(data(on_stream), ("kept:a".into(), "1".into()));
        let datagram = soon("a datagram", client.connection.read_datagram())
            .await
            .unwrap();
        let datagram = native::Datagram::decode(&datagram).unwrap();
        assert_eq!((datagram.id, datagram.sequence), (2, 1));
        let mut framed = Vec::new();
        if codec.is_binary() {
            native::put_varint(&mut framed, datagram.message.len() as u64);
        }
        framed.extend(&datagram.message);
        assert_eq!(data(framed.into()), ("lossy:a".into(), "2".into()));
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_no_other_and_ends_slow() {
    let server = Server::start_with(|_, client| client.queue_max_size = 40_000).await;
    let mut client = client(&server).await;
    subscribe(&mut client, "unread").await;
    subscribe(&mut client, "read").await;
    let large = format!("\"{}\"", "x".repeat(500));
    for _ in 0..20 {
        publish(&server, "unread", &large).await;
    }
    let unread = Lane::accept(&client).await;
    for number in 0..20 {
        publish(&server, "read", &number.to_string()).await;
    }
    let mut read = Lane::accept(&client).await;
    for number in 0..20 {
        assert_eq!(read.data().await, Some(number.into()));
    }
    // Replies are not held up either.
    client.call("ping", "{}").await;
    // More than all windows and the budget.
    for _ in 0..200 {
        publish(&server, "unread", &large).await;
    }
    assert_eq!(client.closed().await.0, 3008);
    drop(unread);
}

#[tokio::test]
async fn a_slow_reader_of_one_stream_gets_all_of_it_in_order() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    subscribe(&mut client, "a").await;
    for number in 0..500 {
        publish(&server, "a", &format!("[{number},\"{}\"]", "x".repeat(100))).await;
    }
    let mut lane = Lane::accept(&client).await;
    for number in 0..500 {
        assert_eq!(lane.data().await.unwrap()[0], number);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_subscription_and_the_next_has_another_number() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    assert_eq!(subscribe(&mut client, "a").await, 1);
    publish(&server, "a", "1").await;
    let mut first = Lane::accept(&client).await;
    assert_eq!(first.data().await, Some(1.into()));
    client.call("unsubscribe", r#"{"channel":"a"}"#).await;
    assert_eq!(first.data().await, None);
    assert_eq!(subscribe(&mut client, "a").await, 2);
    publish(&server, "a", "2").await;
    let mut second = Lane::accept(&client).await;
    assert_eq!((second.id, second.data().await), (2, Some(2.into())));
}

#[tokio::test]
async fn without_a_stream_to_spare_a_channel_stays_on_the_first() {
    let server = Server::start().await;
    let mut transport = windows();
    transport.max_concurrent_uni_streams(1u8.into());
    let mut client = client_with(&server, transport, Codec::Json)
        .await
        .connected()
        .await;
    assert_eq!(subscribe(&mut client, "a").await, 1);
    publish(&server, "a", "1").await;
    let mut only = Lane::accept(&client).await;
    assert_eq!(only.data().await, Some(1.into()));
    assert_eq!(subscribe(&mut client, "b").await, 2);
    publish(&server, "b", "2").await;
    assert_eq!(client.publication().await["data"], 2);
    client.call("unsubscribe", r#"{"channel":"a"}"#).await;
    assert_eq!(only.data().await, None);
    // The client has one to spare again, but this subscription stays where it is.
    publish(&server, "b", "3").await;
    assert_eq!(client.publication().await["data"], 3);
}

#[tokio::test]
async fn a_stream_that_the_client_stops_is_only_its_own_loss() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    subscribe(&mut client, "a").await;
    publish(&server, "a", "1").await;
    let mut stopped = Lane::accept(&client).await;
    stopped.recv.stop(0u8.into()).unwrap();
    for number in 0..100 {
        publish(&server, "a", &number.to_string()).await;
        client.call("ping", "{}").await;
    }
    client.call("unsubscribe", r#"{"channel":"a"}"#).await;
    assert_eq!(subscribe(&mut client, "a").await, 2);
    publish(&server, "a", "2").await;
    let mut lane = Lane::accept(&client).await;
    assert_eq!((lane.id, lane.data().await), (2, Some(2.into())));
}

#[tokio::test]
async fn what_was_published_before_the_goodbye_arrives_before_it() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    subscribe(&mut client, "a").await;
    subscribe(&mut client, "unread").await;
    // All of the one fits into its stream's window, but not of the other.
    for number in 0..20 {
        publish(&server, "unread", &format!("\"{}\"", "x".repeat(200))).await;
        publish(&server, "a", &number.to_string()).await;
    }
    let mut lanes = [Lane::accept(&client).await, Lane::accept(&client).await];
    lanes.sort_by_key(|lane| lane.id);
    let [lane, _unread] = &mut lanes;
    assert_eq!(lane.data().await, Some(0.into()));
    let host = Arc::clone(&server.host);
    let departure = Departure {
        spread: Duration::ZERO,
        timeout: Duration::from_secs(60),
    };
    let shutting_down = tokio::spawn(async move { host.shut_down(departure).await });
    for number in 1..20 {
        assert_eq!(lane.data().await, Some(number.into()));
    }
    assert_eq!(client.closed().await.0, 3001);
    assert!(soon("the end", shutting_down).await.unwrap().all_gone());
}

#[tokio::test]
async fn streams_can_be_switched_off() {
    let server = Server::start_with(|options, _| options.stream_per_channel = false).await;
    let mut client = client(&server).await;
    assert_eq!(subscribe(&mut client, "a").await, 0);
    publish(&server, "a", "1").await;
    assert_eq!(client.publication().await["data"], 1);
}

/// Channels of `lossy` and `announced` may go as datagrams, those of `kept` may not; none of them keeps a stream, and
/// who comes and goes is told in `announced`.
async fn lossy() -> Server {
    Server::start_for(|_, _, channels| {
        let lossy = NamespaceOptions {
            quic_datagrams: true,
            ..NamespaceOptions::default()
        };
        let announced = NamespaceOptions {
            join_leave: true,
            force_push_join_leave: true,
            ..lossy.clone()
        };
        channels.namespaces = [
            ("announced".into(), announced),
            ("lossy".into(), lossy),
            ("kept".into(), NamespaceOptions::default()),
        ]
        .into();
    })
    .await
}

#[tokio::test]
async fn publications_that_fit_are_datagrams_and_the_others_go_by_the_stream() {
    /// The largest payload of UDP that quinn looks for on its own.
    const PATH: usize = 1452;
    let server = lossy().await;
    let mut client = client(&server).await;
    assert_eq!(subscribe(&mut client, "lossy:a").await, 1);
    let sized = |size: usize| format!("\"{}\"", "x".repeat(size));
    // One after the other, so that none is dropped in favour of a newer one.
    for sequence in 1..=10 {
        let size = 100 * usize::try_from(sequence).unwrap();
        publish(&server, "lossy:a", &sized(size)).await;
        let datagram = soon("a datagram", client.connection.read_datagram())
            .await
            .unwrap();
        assert!(datagram.len() < PATH);
        let datagram = native::Datagram::decode(&datagram).unwrap();
        assert_eq!((datagram.id, datagram.sequence), (1, sequence));
        assert!(datagram.message.len() > size);
        let push: Value = serde_json::from_slice(&datagram.message).unwrap();
        assert_eq!(push["push"]["pub"]["data"].as_str().unwrap().len(), size);
    }
    publish(&server, "lossy:a", &sized(PATH)).await;
    let mut lane = Lane::accept(&client).await;
    assert_eq!(lane.id, 1);
    assert_eq!(lane.data().await.unwrap().as_str().unwrap().len(), PATH);
    publish(&server, "lossy:a", "1").await;
    let datagram = soon("a datagram", client.connection.read_datagram())
        .await
        .unwrap();
    assert_eq!(native::Datagram::decode(&datagram).unwrap().sequence, 11);
}

#[tokio::test]
async fn joins_of_a_lossy_channel_are_not_lost() {
    let server = lossy().await;
    let mut client = client(&server).await;
    subscribe(&mut client, "announced:a").await;
    let mut lane = Lane::accept(&client).await;
    let push = soon("its own join", lane.push()).await.unwrap();
    assert!(push["push"]["join"].is_object(), "{push}");
}

#[tokio::test]
async fn a_client_without_datagrams_gets_everything_by_the_stream() {
    let server = lossy().await;
    let mut transport = windows();
    transport.datagram_receive_buffer_size(None);
    let mut client = client_with(&server, transport, Codec::Json)
        .await
        .connected()
        .await;
    subscribe(&mut client, "lossy:a").await;
    publish(&server, "lossy:a", "1").await;
    assert_eq!(Lane::accept(&client).await.data().await, Some(1.into()));
}
