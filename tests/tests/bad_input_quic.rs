//! Whatever comes in at the UDP port: the one who sends it is closed with the protocol's code, or not heard at all, memory
//! stays bounded, and nobody else notices.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use campanile_common::Codec;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
use campanile_tests::wire::quic::{self, NATIVE, Opening};
use campanile_tests::wire::{Closed, Transport, Udp, Wire, encode_varint};
use quinn::{Connection, ConnectionError, RecvStream, SendStream, TransportErrorCode};
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const CHANNEL: &str = "room:1";
const BAD_REQUEST: u32 = 3501;
const STALE: u32 = 3502;
const SLOW: u32 = 3008;

/// How much the gateway may grow while it is ill-treated: the budgets of a few clients, and what an allocator keeps to itself.
const GROWTH: u64 = 64 * 1024 * 1024;

fn config() -> GatewayConfig {
    let room = json!({ "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    GatewayConfig::default()
        .set("client.queue_max_size", 256 * 1024)
        .namespace("room", &room)
}

/// A gateway, somebody else who must not notice anything, and what the gateway took before.
struct Scene {
    gateway: Gateway,
    witnesses: Vec<Wire>,
    seen: u64,
    before: u64,
}

impl Scene {
    async fn start(config: &GatewayConfig) -> Result<Self> {
        let gateway = Gateway::start(config).await?;
        let mut witnesses = Vec::new();
        for transport in Transport::ALL {
            let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection("witness")).await?;
            wire.subscribe(CHANNEL).await?;
            witnesses.push(wire);
        }
        let before = gateway.process().resident_bytes()?;
        Ok(Self {
            gateway,
            witnesses,
            seen: 0,
            before,
        })
    }

    fn udp(&self) -> Udp {
        self.gateway.udp()
    }

    /// The witnesses receive and are answered, and the gateway has not grown beyond measure.
    async fn nobody_noticed(&mut self) -> Result<()> {
        self.gateway.api().publish(CHANNEL, &json!(self.seen)).await?;
        for wire in &mut self.witnesses {
            assert_eq!(wire.publication().await?.1["data"], self.seen);
            assert!(wire.is_alive().await);
        }
        self.seen += 1;
        let grown = self
            .gateway
            .process()
            .resident_bytes()?
            .saturating_sub(self.before);
        assert!(grown < GROWTH, "the gateway grew by {grown} bytes");
        Ok(())
    }

    /// Somebody new can connect.
    async fn takes_others(&self) -> Result<()> {
        for transport in [Transport::Quic, Transport::WebTransport] {
            let mut wire = Wire::connect(self.gateway.endpoint(transport), &token::connection("new")).await?;
            assert!(wire.is_alive().await, "{transport:?}");
        }
        Ok(())
    }
}

/// A native connection in the raw, in JSON.
struct Raw {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Raw {
    /// A connection with a control stream on which nothing has been said.
    async fn open(udp: &Udp, streams: u32) -> Result<Self> {
        let opening = Opening {
            streams,
            ..Opening::default()
        };
        let connection = quic::open(&quic::socket()?, udp, opening).await?;
        let (send, receive) = connection.open_bi().await?;
        Ok(Self {
            connection,
            send,
            receive,
        })
    }

    /// A connection that has sent its preface and is connected.
    async fn connect(udp: &Udp, streams: u32) -> Result<Self> {
        let mut raw = Self::open(udp, streams).await?;
        raw.send
            .write_all(&quic::preface(Codec::Json, streams > 0, false))
            .await?;
        raw.request(&json!({ "id": 1, "connect": { "token": token::connection("raw") } }))
            .await?;
        Ok(raw)
    }

    /// Sends a command and reads the first line that answers it.
    async fn request(&mut self, command: &Value) -> Result<Value> {
        self.send.write_all(format!("{command}\n").as_bytes()).await?;
        loop {
            let reply: Value = serde_json::from_str(&self.line().await?)?;
            if reply["id"] == command["id"] {
                return Ok(reply);
            }
        }
    }

    async fn line(&mut self) -> Result<String> {
        timeout(SOON, line(&mut self.receive)).await?
    }

    /// How the gateway closes it.
    async fn closed(&self) -> Result<Closed> {
        closed(&self.connection).await
    }
}

/// Reads up to the next line break, and not a byte more.
async fn line(stream: &mut RecvStream) -> Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).await?;
        if byte == *b"\n" {
            return Ok(String::from_utf8(bytes)?);
        }
        bytes.extend(byte);
    }
}

/// How the gateway closes a connection.
async fn closed(connection: &Connection) -> Result<Closed> {
    let error = timeout(SOON, connection.closed())
        .await
        .context("it was not closed")?;
    Ok(quic::closed(error))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_at_the_port_is_dropped() -> Result<()> {
    const DATAGRAMS: usize = 20_000;
    let mut scene = Scene::start(&config()).await?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut random = StdRng::seed_from_u64(1);
    for index in 0..DATAGRAMS {
        let mut datagram = vec![0; random.random_range(1..=1400)];
        random.fill_bytes(&mut datagram);
        // Noise; noise in a short header; in the header of a first packet of version 1, long enough to be one; in that of a version
        // that nobody speaks.
        match index % 4 {
            0 => {}
            1 => datagram[0] = 0x40 | datagram[0] & 0x3f,
            kind => {
                datagram.resize(1200, 0);
                let version = if kind == 2 { 1 } else { 0x0a0a_0a0a_u32 };
                datagram[0] = 0xc0;
                datagram[1..5].copy_from_slice(&version.to_be_bytes());
                datagram[5] = 8;
                datagram[14] = 8;
            }
        }
        socket.send_to(&datagram, scene.udp().address).await?;
        if index % 5000 == 0 {
            scene.nobody_noticed().await?;
        }
    }
    scene.nobody_noticed().await?;
    scene.takes_others().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_another_protocol_is_refused_in_the_handshake() -> Result<()> {
    let mut scene = Scene::start(&config()).await?;
    let refused: [&[&[u8]]; 4] = [&[], &[b"campanile/2"], &[b"h2"], &[b"http/1.1", b"doq"]];
    for alpn in refused {
        let opening = Opening {
            alpn,
            ..Opening::default()
        };
        let opened = timeout(SOON, quic::open(&quic::socket()?, &scene.udp(), opening)).await?;
        let error = opened.err().context("it was let in")?;
        let error = error.downcast::<ConnectionError>()?;
        let ConnectionError::ConnectionClosed(close) = &error else {
            bail!("{alpn:?}: {error}");
        };
        // TLS: no_application_protocol.
        assert_eq!(
            close.error_code,
            TransportErrorCode::crypto(120),
            "{alpn:?}: {error}"
        );
    }
    // Who offers several is given one that is known.
    let opening = Opening {
        alpn: &[b"campanile/2", NATIVE],
        ..Opening::default()
    };
    quic::open(&quic::socket()?, &scene.udp(), opening).await?;
    scene.nobody_noticed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preface_that_is_none_closes_the_connection() -> Result<()> {
    let mut scene = Scene::start(&config()).await?;
    for codec in [0x00, 0x04, 0x7b, 0xff] {
        let mut raw = Raw::open(&scene.udp(), 0).await?;
        raw.send.write_all(&[codec, 0x00]).await?;
        let closed = raw.closed().await?;
        assert_eq!(closed.code, BAD_REQUEST, "{codec:#x}: {closed:?}");
    }
    // Flags that nobody knows yet are passed over.
    let mut raw = Raw::open(&scene.udp(), 0).await?;
    raw.send.write_all(&[0x01, 0xfc]).await?;
    let connect = json!({ "id": 1, "connect": { "token": token::connection("raw") } });
    assert!(raw.request(&connect).await?.get("connect").is_some());
    scene.nobody_noticed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_one_close_the_connection() -> Result<()> {
    let mut scene = Scene::start(&config()).await?;
    for (name, both_ways) in [("a second control stream", true), ("a stream of its own", false)] {
        let raw = Raw::connect(&scene.udp(), 0).await?;
        flood_with_streams(&raw.connection, both_ways).await;
        let closed = raw.closed().await?;
        assert_eq!(closed.code, BAD_REQUEST, "{name}: {closed:?}");
        scene.nobody_noticed().await?;
    }
    Ok(())
}

/// Opens streams, and says something on each, as long as it may.
async fn flood_with_streams(connection: &Connection, both_ways: bool) {
    const FLOOD: usize = 1000;
    for _ in 0..FLOOD {
        let opened = async {
            let mut stream = if both_ways {
                connection.open_bi().await?.0
            } else {
                connection.open_uni().await?
            };
            stream.write_all(b"hello").await?;
            anyhow::Ok(stream)
        };
        // It is over when the connection is, or when no further stream is granted.
        let more = timeout(Duration::from_millis(100), opened).await;
        if !matches!(more, Ok(Ok(_))) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_begun_and_not_gone_on_with_is_closed_as_stale() -> Result<()> {
    const OF_EACH: usize = 20;
    let mut scene = Scene::start(&config().set("client.stale_close_delay", "5s")).await?;
    let beginnings: [&[u8]; 5] = [
        b"",
        &[0x01],
        &[0x01, 0x00],
        b"\x01\x00{\"id\":1,\"connect\":{",
        &[0x02, 0x00, 0x7f],
    ];
    let mut half_open = Vec::new();
    for beginning in beginnings {
        for _ in 0..OF_EACH {
            let mut raw = Raw::open(&scene.udp(), 0).await?;
            raw.send.write_all(beginning).await?;
            half_open.push(raw);
        }
    }
    // Without any stream.
    let opening = Opening::default();
    let silent = quic::open(&quic::socket()?, &scene.udp(), opening).await?;
    scene.nobody_noticed().await?;
    for raw in &half_open {
        let closed = raw.closed().await?;
        assert_eq!(closed.code, STALE, "{closed:?}");
    }
    assert_eq!(closed(&silent).await?.code, STALE);
    scene.nobody_noticed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_stream_that_ends_is_a_client_that_leaves() -> Result<()> {
    let mut scene = Scene::start(&config()).await?;
    for how in ["finished", "finished inside a message", "reset"] {
        let mut raw = Raw::connect(&scene.udp(), 0).await?;
        let subscribe = json!({ "id": 2, "subscribe": { "channel": "room:left" } });
        raw.request(&subscribe).await?;
        match how {
            "finished" => raw.send.finish()?,
            "reset" => raw.send.reset(7_u32.into())?,
            _ => {
                raw.send.write_all(b"{\"id\":3,\"publish\":{").await?;
                raw.send.finish()?;
            }
        }
        let api = scene.gateway.api();
        eventually(format!("who has {how} is gone"), SOON, || async {
            let channels = api.call("channels", &json!({ "pattern": "room:left" })).await;
            channels.is_ok_and(|it| it["channels"] == json!({}))
        })
        .await;
    }
    scene.nobody_noticed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_an_end_are_closed_at_the_limit() -> Result<()> {
    const ENDLESS: usize = 64 * 1024 * 1024;
    let mut scene = Scene::start(&config()).await?;
    let beginnings: [(u8, Vec<u8>); 3] = [
        (0x01, b"{\"id\":1,\"connect\":{\"token\":\"".to_vec()),
        (0x02, encode_varint(ENDLESS)),
        (0x03, encode_varint(usize::try_from(u32::MAX)?)),
    ];
    for (codec, beginning) in beginnings {
        let mut raw = Raw::open(&scene.udp(), 0).await?;
        raw.send.write_all(&[codec, 0x00]).await?;
        raw.send.write_all(&beginning).await?;
        let filler = vec![b'x'; 16 * 1024];
        let mut sent = 0;
        while sent < ENDLESS && raw.send.write_all(&filler).await.is_ok() {
            sent += filler.len();
        }
        assert!(sent < ENDLESS, "all of it was taken");
        let closed = raw.closed().await?;
        assert_eq!(closed.code, BAD_REQUEST, "codec {codec}: {closed:?}");
        scene.nobody_noticed().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_closed_as_slow() -> Result<()> {
    const CLIENTS: usize = 20;
    const FILLER: usize = 48 * 1024;
    let mut scene = Scene::start(&config()).await?;
    let mut deaf = Vec::new();
    for streams in [0, 100] {
        for _ in 0..CLIENTS / 2 {
            let mut raw = Raw::connect(&scene.udp(), streams).await?;
            raw.request(&json!({ "id": 2, "subscribe": { "channel": "room:deaf" } }))
                .await?;
            deaf.push(raw);
        }
    }
    feed_until_slow(&scene, "room:deaf", FILLER, CLIENTS).await?;
    for raw in &deaf {
        let closed = raw.closed().await?;
        assert_eq!(closed.code, SLOW, "{closed:?}");
    }
    scene.nobody_noticed().await
}

/// Publishes to `channel` until so many clients have been closed as slow.
async fn feed_until_slow(scene: &Scene, channel: &str, length: usize, clients: usize) -> Result<()> {
    const ROUNDS: usize = 600;
    let filler = json!("x".repeat(length));
    let api = scene.gateway.api();
    for _ in 0..ROUNDS {
        api.publish(channel, &filler).await?;
        let metrics = scene.gateway.metrics().await?;
        let slow = metrics.count("campanile_connections_closed_total", &[("reason", "slow")]);
        if slow >= u64::try_from(clients)? {
            return Ok(());
        }
    }
    bail!("after {ROUNDS} publications not everybody was closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_holds_up_no_other_until_its_connection_is_closed_as_slow() -> Result<()> {
    const BEFORE: u64 = 3;
    let mut scene = Scene::start(&config()).await?;
    let mut raw = Raw::connect(&scene.udp(), 100).await?;
    raw.request(&json!({ "id": 2, "subscribe": { "channel": "room:unread" } }))
        .await?;
    raw.request(&json!({ "id": 3, "subscribe": { "channel": "room:read" } }))
        .await?;

    // The first stream is that of the channel that is published to first.
    let api = scene.gateway.api();
    let filler = json!("x".repeat(48 * 1024));
    api.publish("room:unread", &filler).await?;
    let _unread = timeout(SOON, raw.connection.accept_uni()).await??;
    api.publish("room:read", &json!(0)).await?;
    let mut read = timeout(SOON, raw.connection.accept_uni()).await??;
    let mut head = [0; 2];
    read.read_exact(&mut head).await?;
    assert_eq!(head[0], 0x01, "{head:?}");
    for number in 0..BEFORE {
        if number > 0 {
            api.publish("room:unread", &filler).await?;
            api.publish("room:read", &json!(number)).await?;
        }
        let push: Value = serde_json::from_str(&timeout(SOON, line(&mut read)).await??)?;
        assert_eq!(push["push"]["pub"]["data"], number, "{push}");
    }
    feed_until_slow(&scene, "room:unread", 48 * 1024, 1).await?;
    let closed = raw.closed().await?;
    assert_eq!(closed.code, SLOW, "{closed:?}");
    scene.nobody_noticed().await
}

/// Passes first packets on to the gateway and no answer back, so that no handshake ends.
async fn one_way_street(to: SocketAddr) -> Result<SocketAddr> {
    let entrance = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let exit = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = entrance.local_addr()?;
    tokio::spawn(async move {
        let mut datagram = [0; 2048];
        while let Ok(length) = entrance.recv(&mut datagram).await {
            // What the gateway does with it is for the test to see.
            let _ = exit.send_to(&datagram[..length], to).await;
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_validated_under_a_flood_of_new_connections() -> Result<()> {
    const FLOOD: usize = 200;
    let mut scene = Scene::start(&config().set("quic.handshakes_before_retry", 16)).await?;
    assert_eq!(
        retries(&scene.gateway).await?,
        0,
        "nobody had to prove its address"
    );
    let nowhere = Udp {
        address: one_way_street(scene.udp().address).await?,
        ..scene.udp()
    };
    let socket = quic::socket()?;
    let config = quic::config(&nowhere, Opening::default())?;
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| socket.connect_with(config.clone(), nowhere.address, "localhost"))
        .collect::<Result<_, _>>()?;
    until("addresses are validated", SOON, || async {
        retries(&scene.gateway).await.ok().filter(|retries| *retries > 0)
    })
    .await;
    // Whoever is where it says it is gets in, at the cost of one more round trip.
    scene.takes_others().await?;
    scene.nobody_noticed().await?;
    drop(flood);
    Ok(())
}

/// How often a client had to prove its address.
async fn retries(gateway: &Gateway) -> Result<u64> {
    let labels = [("outcome", "retry")];
    let metrics = gateway.metrics().await?;
    Ok(metrics.count("campanile_quic_handshakes_total", &labels))
}
