//! Whatever a client sends, it is answered with the protocol's code, counted, and nobody else notices.

use anyhow::{Context as _, Result};
use campanile_common::Codec;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Endpoint, Handshake, Transport, Wire, encode_varint};
use serde_json::{Value, json};

over_each_transport!(
    what_cannot_be_understood_closes_the_connection,
    what_is_understood_and_refused_is_answered_with_an_error,
    tokens_that_prove_nothing_connect_nobody,
);

const CHANNEL: &str = "room:1";
const BAD_REQUEST: u32 = 3501;

async fn gateway() -> Result<Gateway> {
    let room = json!({
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "allow_user_limited_channels": true,
        "history_size": 10,
        "history_ttl": "60s",
    });
    let config = GatewayConfig::default().set("client.allowed_origins", json!(["https://good.example"]));
    Gateway::start(&config.namespace("room", &room)).await
}

/// Somebody else, who must not notice.
struct Witness {
    wire: Wire,
    seen: u64,
}

impl Witness {
    async fn start(gateway: &Gateway, transport: Transport) -> Result<Self> {
        let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection("witness")).await?;
        wire.subscribe(CHANNEL).await?;
        Ok(Self { wire, seen: 0 })
    }

    async fn check(&mut self, gateway: &Gateway) -> Result<()> {
        gateway.api().publish(CHANNEL, &json!(self.seen)).await?;
        assert_eq!(self.wire.publication().await?.1["data"], self.seen);
        assert!(self.wire.is_alive().await);
        self.seen += 1;
        Ok(())
    }
}

/// Connections that were closed with this code so far.
async fn closes(gateway: &Gateway, code: u32) -> Result<u64> {
    let reasons: &[&str] = match code {
        1000..=1015 => &["violation"],
        3500 => &["invalid_token"],
        // On streams, also those whose messages were too long, or not to be told apart.
        BAD_REQUEST => &["bad_request", "violation"],
        _ => anyhow::bail!("{code} is not counted here"),
    };
    let metrics = gateway.metrics().await?;
    let count = |reason: &&str| metrics.count("campanile_connections_closed_total", &[("reason", *reason)]);
    Ok(reasons.iter().map(count).sum())
}

/// Commands that were answered with this error so far.
async fn errors(gateway: &Gateway, code: u64) -> Result<u64> {
    let code = code.to_string();
    let metrics = gateway.metrics().await?;
    Ok(metrics.count("campanile_command_errors_total", &[("code", &code)]))
}

/// Waits until a closed connection is counted: that may be an instant after the client has read the close frame.
async fn closes_become(gateway: &Gateway, code: u32, count: u64, name: &str) {
    eventually(&format!("{name} is counted"), SOON, || async {
        closes(gateway, code).await.is_ok_and(|it| it == count)
    })
    .await;
}

/// What is sent.
enum Sent {
    Text(Vec<u8>),
    Bytes(Vec<u8>),
}

/// One thing that nobody should send.
struct Case {
    name: &'static str,
    codec: Codec,
    /// Whether the client has connected before.
    connected: bool,
    sent: Sent,
    /// Whether the message has its end. On a stream, the server waits for it.
    whole: bool,
    /// The code with which the client is closed; one of WebSocket's own is that of a bad request elsewhere.
    code: u32,
}

impl Case {
    fn code(&self, transport: Transport) -> u32 {
        match transport {
            Transport::WebSocket => self.code,
            Transport::Quic | Transport::WebTransport => BAD_REQUEST,
        }
    }

    /// Opens a connection and sends what nobody should.
    async fn run(&self, endpoint: &Endpoint) -> Result<Wire> {
        let handshake = Handshake {
            codec: self.codec,
            ..Handshake::default()
        };
        let mut wire = Wire::open_with(endpoint, handshake).await?;
        if self.connected {
            wire.log_in(&token::connection("reader")).await?;
        }
        match &self.sent {
            Sent::Text(text) => wire.send_text(text).await?,
            Sent::Bytes(bytes) => wire.send_bytes(bytes).await?,
        }
        Ok(wire)
    }
}

fn json_case(name: &'static str, text: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        codec: Codec::Json,
        connected: true,
        whole: true,
        sent: Sent::Text(text.into()),
        code: BAD_REQUEST,
    }
}

fn binary_case(name: &'static str, codec: Codec, bytes: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        codec,
        connected: true,
        whole: true,
        sent: Sent::Bytes(bytes.into()),
        code: BAD_REQUEST,
    }
}

fn unconnected(case: Case) -> Case {
    Case {
        connected: false,
        ..case
    }
}

fn unfinished(case: Case) -> Case {
    Case { whole: false, ..case }
}

fn with_code(code: u32, case: Case) -> Case {
    Case { code, ..case }
}

fn json_cases() -> Vec<Case> {
    let nested = format!("{{\"id\":9,\"subscribe\":{{\"channel\":\"{CHANNEL}\",\"tf\":");
    let deep_filter = format!("{nested}{}{}}}}}", "{\"nodes\":[".repeat(3000), "]}".repeat(3000));
    let deep_unknown = format!("{{\"id\":9,\"what\":{}", "[".repeat(60_000));
    let second_connect = json!({ "id": 9, "connect": { "token": token::connection("reader") } });
    let too_long = format!("{{\"id\":9,\"send\":{{\"data\":\"{}\"}}}}", "x".repeat(70_000));
    vec![
        json_case("truncated", r#"{"id":9,"publish":{"channel":"#),
        json_case("not JSON", "hello"),
        json_case("an array", "[]"),
        json_case("deeply nested filter", deep_filter),
        json_case("deeply nested, unknown and unclosed", deep_unknown),
        json_case("a text for a number", r#"{"id":"9","ping":{}}"#),
        json_case("a number out of range", r#"{"id":4294967296,"ping":{}}"#),
        json_case("a negative number", r#"{"id":-1,"ping":{}}"#),
        json_case(
            "a channel without a name",
            r#"{"id":9,"subscribe":{"channel":""}}"#,
        ),
        json_case("a number for a channel", r#"{"id":9,"subscribe":{"channel":7}}"#),
        json_case("a list for a request", r#"{"id":9,"subscribe":["room:1"]}"#),
        json_case(
            "two requests in one command",
            r#"{"id":9,"ping":{},"presence":{"channel":"room:1"}}"#,
        ),
        json_case("an unknown command", r#"{"id":9,"frobnicate":{}}"#),
        json_case("a second connect", second_connect.to_string()),
        json_case("a good command and a bad one", "{\"id\":9,\"ping\":{}}\n{\"id\":"),
        unconnected(json_case(
            "a command before connect",
            r#"{"id":9,"subscribe":{"channel":"room:1"}}"#,
        )),
        unconnected(json_case(
            "an unknown command before connect",
            r#"{"id":9,"frobnicate":{}}"#,
        )),
        with_code(
            1007,
            json_case("invalid UTF-8", *b"{\"id\":9,\"rpc\":{\"method\":\"\xff\xfe\"}}"),
        ),
        with_code(1009, json_case("longer than the limit", too_long)),
    ]
}

fn binary_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let too_long = [encode_varint(70_000), vec![0; 70_000]].concat();
    for codec in [Codec::Protobuf, Codec::MessagePack] {
        cases.extend([
            // The varint of 2^32 and no more.
            binary_case("a length of 4 GiB", codec, [0x80, 0x80, 0x80, 0x80, 0x10]),
            unfinished(binary_case(
                "a length longer than the frame",
                codec,
                [0x7f, 0x08, 0x01],
            )),
            binary_case("a length without an end", codec, [0xff; 12]),
            binary_case("noise", codec, [0x05, 0xde, 0xad, 0xbe, 0xef, 0x07]),
            unconnected(binary_case(
                "a length of 4 GiB before connect",
                codec,
                [0x80, 0x80, 0x80, 0x80, 0x10],
            )),
            with_code(
                1009,
                binary_case("longer than the limit", codec, too_long.clone()),
            ),
        ]);
    }
    let mut truncated = protobuf(&json!({ "id": 9, "publish": { "channel": CHANNEL, "data": {} } }));
    truncated.truncate(truncated.len() - 3);
    let mut invalid_utf8 = protobuf(&json!({ "id": 9, "subscribe": { "channel": "room:__" } }));
    invalid_utf8
        .iter_mut()
        .filter(|byte| **byte == b'_')
        .for_each(|byte| *byte = 0xff);
    let mut two_requests = protobuf(&json!({ "id": 9, "presence": { "channel": CHANNEL } }));
    let ping = [11 << 3 | 2, 0];
    two_requests.extend(ping);
    two_requests[0] += 2;
    cases.extend([
        unfinished(binary_case("truncated", Codec::Protobuf, truncated)),
        binary_case("invalid UTF-8 in a channel", Codec::Protobuf, invalid_utf8),
        binary_case("two requests in one command", Codec::Protobuf, two_requests),
        binary_case("a deeply nested filter", Codec::Protobuf, deep_filter()),
    ]);
    cases
}

fn protobuf(command: &Value) -> Vec<u8> {
    let json = campanile_common::Bytes::from(command.to_string());
    let command = Codec::Json
        .decode_commands(&json)
        .next()
        .expect("a command")
        .expect("a good one");
    Codec::Protobuf.encode_command(&command).to_vec()
}

/// A subscribe command whose filter (field 13 of field 5) holds a filter (field 6) that holds a filter, and so on.
fn deep_filter() -> Vec<u8> {
    let mut filter = Vec::new();
    for _ in 0..3000 {
        filter = field(6, &filter);
    }
    let command = field(5, &field(13, &filter));
    let mut frame = encode_varint(command.len());
    frame.extend(command);
    frame
}

fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    bytes.extend(encode_varint(payload.len()));
    bytes.extend(payload);
    bytes
}

async fn what_cannot_be_understood_closes_the_connection(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut witness = Witness::start(&gateway, transport).await?;
    let endpoint = gateway.endpoint(transport);
    let framed = transport == Transport::WebSocket;
    let cases = json_cases().into_iter().chain(binary_cases());
    for case in cases.filter(|case| framed || case.whole) {
        let name = format!("{} in {:?}", case.name, case.codec);
        let code = case.code(transport);
        let before = closes(&gateway, code).await?;
        let mut wire = case.run(&endpoint).await.with_context(|| name.clone())?;
        let closed = wire.closed().await.with_context(|| name.clone())?;
        assert_eq!(closed.code, code, "{name}: {closed:?}");
        closes_become(&gateway, code, before + 1, &name).await;
        let unnoticed = witness.check(&gateway).await;
        unnoticed.with_context(|| format!("after {name}"))?;
    }
    Ok(())
}

async fn what_is_understood_and_refused_is_answered_with_an_error(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut witness = Witness::start(&gateway, transport).await?;
    let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection("reader")).await?;
    wire.subscribe(CHANNEL).await?;
    let cases = [
        (
            "an unknown namespace",
            json!({ "subscribe": { "channel": "nowhere:1" } }),
            102,
        ),
        (
            "a channel that is too long",
            json!({ "subscribe": { "channel": format!("room:{}", "x".repeat(300)) } }),
            107,
        ),
        (
            "a private channel without a token",
            json!({ "subscribe": { "channel": "$room:1" } }),
            103,
        ),
        (
            "a second subscription",
            json!({ "subscribe": { "channel": CHANNEL } }),
            105,
        ),
        (
            "presence where there is none",
            json!({ "presence": { "channel": CHANNEL } }),
            108,
        ),
        (
            "history where it is not allowed",
            json!({ "history": { "channel": CHANNEL } }),
            103,
        ),
        (
            "a publication without data",
            json!({ "publish": { "channel": CHANNEL } }),
            107,
        ),
        (
            "a call that nobody handles",
            json!({ "rpc": { "method": "x", "data": {} } }),
            104,
        ),
        (
            "another user's channel",
            json!({ "subscribe": { "channel": "room:1#ann" } }),
            103,
        ),
    ];
    for (name, command, code) in cases {
        let before = errors(&gateway, code).await?;
        let reply = wire.request(command).await.with_context(|| name.to_owned())?;
        assert_eq!(reply["error"]["code"], code, "{name}: {reply}");
        assert_eq!(errors(&gateway, code).await?, before + 1, "{name} is counted");
    }
    assert!(wire.is_alive().await, "errors close nothing");
    witness.check(&gateway).await
}

async fn tokens_that_prove_nothing_connect_nobody(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut witness = Witness::start(&gateway, transport).await?;
    let soon = token::seconds_from_now(3600);
    let claims = json!({ "sub": "mallory", "exp": soon });
    let good = token::connection("mallory");
    let (head, rest) = good.split_once('.').context("a header")?;
    let (body, signature) = rest.split_once('.').context("a signature")?;
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let invalid = [
        ("forged", token::sign(&claims, "another secret")),
        ("not a token", "hello".to_owned()),
        ("without a signature", format!("{head}.{body}.")),
        (
            "with half a signature",
            format!("{head}.{body}.{}", &signature[..20]),
        ),
        ("alg none", format!("{unsigned}.{body}.")),
        (
            "alg none with a signature",
            format!("{unsigned}.{body}.{signature}"),
        ),
        ("a subscription token", token::subscription("mallory", CHANNEL)),
    ];
    for (name, token) in invalid {
        let before = closes(&gateway, 3500).await?;
        let mut wire = Wire::open(gateway.endpoint(transport)).await?;
        wire.send(&json!({ "id": 1, "connect": { "token": token } }))
            .await?;
        assert_eq!(wire.closed().await?.code, 3500, "{name}");
        closes_become(&gateway, 3500, before + 1, name).await;
    }

    // Another token may do, at another time: not a reason to stay away.
    let expired = json!({ "sub": "ann", "exp": token::seconds_from_now(-10) });
    let early = json!({ "sub": "ann", "nbf": soon });
    for claims in [expired, early] {
        let before = errors(&gateway, 109).await?;
        let mut wire = Wire::open(gateway.endpoint(transport)).await?;
        let token = token::sign(&claims, token::SECRET);
        let reply = wire.request(json!({ "connect": { "token": token } })).await?;
        assert_eq!(reply["error"]["code"], 109, "{reply}");
        assert_eq!(errors(&gateway, 109).await?, before + 1);
    }

    let mut nobody = Wire::open(gateway.endpoint(transport)).await?;
    nobody.send(&json!({ "id": 1, "connect": {} })).await?;
    assert_eq!(nobody.closed().await?.code, BAD_REQUEST, "no token at all");
    witness.check(&gateway).await
}

#[tokio::test]
async fn pages_of_other_origins_are_not_let_in() -> Result<()> {
    let gateway = gateway().await?;
    for (origin, allowed) in [
        (Some("https://good.example"), true),
        (None, true),
        (Some("https://evil.example"), false),
        (Some("https://good.example.evil.example"), false),
        (Some("http://good.example"), false),
        (Some("null"), false),
    ] {
        for transport in [Transport::WebSocket, Transport::WebTransport] {
            let handshake = Handshake {
                origin,
                ..Handshake::default()
            };
            let opened = Wire::open_with(gateway.endpoint(transport), handshake).await;
            let name = format!("{origin:?} over {transport:?}");
            assert_eq!(opened.is_ok(), allowed, "{name}: {:?}", opened.err());
            if let Err(error) = opened {
                assert!(format!("{error:#}").contains("403"), "{name}: {error:#}");
            }
        }
    }
    let refused = gateway.metrics().await?;
    assert_eq!(
        refused.count("campanile_connections_refused_total", &[("reason", "origin")]),
        8
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_api_key_is_refused_and_counted() -> Result<()> {
    let gateway = gateway().await?;
    let api = campanile_tests::api::Api::new(gateway.url(), "wrong");
    assert_eq!(api.post("info", "{}").await?.0, 401);
    for body in ["{\"channel\":", "[]", "", "null"] {
        let (status, answer) = gateway.api().post("publish", body).await?;
        assert_eq!(status, 200, "{body:?}");
        assert!(answer.contains("\"code\":107"), "{body:?}: {answer}");
    }
    let unknown = gateway.api().try_call("frobnicate", &json!({})).await?;
    assert_eq!(unknown.err().context("there is no such method")?.code, 104);
    let metrics = gateway.metrics().await?;
    assert_eq!(metrics.count("campanile_api_unauthorized_total", &[]), 1);
    Ok(())
}
