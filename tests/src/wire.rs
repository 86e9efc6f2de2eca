//! The client protocol by hand: for tests that must choose every field, or send what no client would.
//!
//! Commands and replies are written as JSON values here, whichever codec the connection uses.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use campanile_common::{Bytes, Codec};
use serde_json::{Value, json};
use tokio::time::timeout;

pub use self::endpoint::{Endpoint, Fingerprint, Transport, Udp};
pub use self::link::{Closed, Way};
use self::link::{Link, Received};
pub use self::messages::encode_varint;
use self::streams::Streams;
use self::websocket::WebSocket;
use crate::wait::SOON;

mod endpoint;
mod link;
mod messages;
pub mod quic;
mod streams;
mod tls;
mod websocket;

/// How a connection is opened.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'a> {
    /// The codec to ask for.
    pub codec: Codec,
    /// The page that opens the connection, as a browser says it.
    pub origin: Option<&'a str>,
    /// Over native QUIC: how many streams of subscriptions are taken; with none, they are not asked for.
    pub streams: u32,
    /// Over native QUIC: whether datagrams are taken.
    pub datagrams: bool,
}

impl Default for Handshake<'_> {
    fn default() -> Self {
        Self {
            codec: Codec::Json,
            origin: None,
            streams: 10_000,
            datagrams: true,
        }
    }
}

/// A connection to a gateway.
pub struct Wire {
    codec: Codec,
    link: Link,
    pushes: VecDeque<(Way, Value)>,
    next: u32,
}

impl Wire {
    /// Opens a connection and says nothing.
    pub async fn open(to: impl Into<Endpoint>) -> Result<Self> {
        Self::open_with(to, Handshake::default()).await
    }

    /// Opens a connection in a certain way and says nothing.
    pub async fn open_with(to: impl Into<Endpoint>, handshake: Handshake<'_>) -> Result<Self> {
        let link = timeout(SOON, Link::open(&to.into(), handshake)).await??;
        Ok(Self {
            codec: handshake.codec,
            link,
            pushes: VecDeque::new(),
            next: 1,
        })
    }

    /// Opens a connection and connects with a token.
    pub async fn connect(to: impl Into<Endpoint>, token: &str) -> Result<Self> {
        Self::connect_with(to, token, Codec::Json).await
    }

    /// Opens a connection in this codec and connects with a token.
    pub async fn connect_with(to: impl Into<Endpoint>, token: &str, codec: Codec) -> Result<Self> {
        let handshake = Handshake {
            codec,
            ..Handshake::default()
        };
        let mut wire = Self::open_with(to, handshake).await?;
        wire.log_in(token).await?;
        Ok(wire)
    }

    /// Sends the connect command with a token: the result.
    pub async fn log_in(&mut self, token: &str) -> Result<Value> {
        let reply = self.request(json!({ "connect": { "token": token } })).await?;
        let result = reply.get("connect").cloned();
        result.with_context(|| format!("connecting was answered with {reply}"))
    }

    /// Sends text as JSON, valid or not.
    pub async fn send_text(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.link.send_text(text.as_ref()).await
    }

    /// Sends bytes as messages with their lengths, valid or not.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.link.send_bytes(bytes).await
    }

    /// Sends a command.
    pub async fn send(&mut self, command: &Value) -> Result<()> {
        if !self.codec.is_binary() {
            return self.send_text(command.to_string()).await;
        }
        let json = Bytes::from(command.to_string());
        let command = Codec::Json.decode_commands(&json).next().context("a command")??;
        self.send_bytes(&self.codec.encode_command(&command)).await
    }

    /// Sends a command, numbered, and waits for its reply; pushes that come before are kept.
    pub async fn request(&mut self, mut command: Value) -> Result<Value> {
        let id = self.next;
        self.next += 1;
        command["id"] = json!(id);
        self.send(&command).await?;
        loop {
            let replies = self.replies(SOON).await;
            let (way, replies) = replies.with_context(|| format!("waiting for {command}"))?;
            let mut answer = None;
            for reply in replies {
                if reply["id"] == id {
                    answer = Some(reply);
                } else {
                    self.keep(way, &reply);
                }
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Subscribes: the result, whatever it is.
    pub async fn subscribe(&mut self, channel: &str) -> Result<Value> {
        let reply = self
            .request(json!({ "subscribe": { "channel": channel } }))
            .await?;
        reply
            .get("subscribe")
            .cloned()
            .with_context(|| format!("subscribing to {channel}: {reply}"))
    }

    /// Subscribes from a position: the result, whatever it is.
    pub async fn recover(&mut self, channel: &str, offset: u64, epoch: &str) -> Result<Value> {
        let command = json!({ "channel": channel, "recover": true, "offset": offset, "epoch": epoch });
        let reply = self.request(json!({ "subscribe": command })).await?;
        reply
            .get("subscribe")
            .cloned()
            .with_context(|| format!("recovering {channel}: {reply}"))
    }

    /// The next push, oldest first.
    pub async fn push(&mut self) -> Result<Value> {
        Ok(self.push_on().await?.1)
    }

    /// The next push, oldest first, for which there is this much time after whatever came last.
    pub async fn push_within(&mut self, deadline: Duration) -> Result<Value> {
        Ok(self.next_push(deadline).await?.1)
    }

    /// The next push, oldest first, and which way it came.
    pub async fn push_on(&mut self) -> Result<(Way, Value)> {
        self.next_push(SOON).await
    }

    async fn next_push(&mut self, deadline: Duration) -> Result<(Way, Value)> {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Ok(push);
            }
            let (way, replies) = self.replies(deadline).await.context("waiting for a push")?;
            for reply in replies {
                self.keep(way, &reply);
            }
        }
    }

    /// The next push that is a publication: its channel and the publication.
    pub async fn publication(&mut self) -> Result<(String, Value)> {
        loop {
            let push = self.push().await?;
            if let Some(publication) = push.get("pub") {
                return Ok((
                    push["channel"].as_str().unwrap_or_default().to_owned(),
                    publication.clone(),
                ));
            }
        }
    }

    /// Reads until the connection ends.
    pub async fn closed(&mut self) -> Result<Closed> {
        timeout(SOON, async {
            loop {
                match self.link.receive().await {
                    Ok(Received::Closed(closed)) => return closed,
                    Ok(Received::Messages(messages, _)) if self.says_goodbye(&messages) => {
                        self.link.finish().await;
                    }
                    // What comes before the end may be cut short.
                    Ok(Received::Messages(..)) | Err(_) => {}
                }
            }
        })
        .await
        .context("the connection was not closed")
    }

    /// Whether a server that cannot rely on close codes tells the client to leave.
    fn says_goodbye(&self, messages: &Bytes) -> bool {
        let replies = decode(self.codec, messages).unwrap_or_default();
        replies
            .iter()
            .any(|reply| reply["push"].get("disconnect").is_some())
    }

    /// Whether a command is still answered.
    pub async fn is_alive(&mut self) -> bool {
        // There is no handler for it, which is an answer too.
        self.request(json!({ "rpc": { "method": "nothing", "data": {} } }))
            .await
            .is_ok()
    }

    fn keep(&mut self, way: Way, reply: &Value) {
        if let Some(push) = reply.get("push") {
            self.pushes.push_back((way, push.clone()));
        }
    }

    /// The next replies that came together, and which way; pings are answered.
    async fn replies(&mut self, deadline: Duration) -> Result<(Way, Vec<Value>)> {
        loop {
            let received = timeout(deadline, self.link.receive()).await;
            let (messages, way) = match received.context("nothing came")?? {
                Received::Messages(messages, way) => (messages, way),
                Received::Closed(closed) => bail!("the connection was closed: {closed:?}"),
            };
            let all = decode(self.codec, &messages)?;
            let (pings, replies): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| *it == json!({}));
            if !pings.is_empty() {
                self.send(&json!({})).await?;
            }
            if !replies.is_empty() {
                return Ok((way, replies));
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

impl Link {
    async fn open(to: &Endpoint, handshake: Handshake<'_>) -> Result<Self> {
        Ok(match to {
            Endpoint::WebSocket(url) => Self::WebSocket(Box::new(WebSocket::open(url, handshake).await?)),
            Endpoint::Quic(udp) => Self::Streams(Box::new(Streams::quic(udp, handshake).await?)),
            Endpoint::WebTransport(udp) => {
                Self::Streams(Box::new(Streams::web_transport(udp, handshake).await?))
            }
        })
    }
}

/// The replies of a frame, as JSON.
fn decode(codec: Codec, frame: &Bytes) -> Result<Vec<Value>> {
    // JSON is read as it came, not by the code under test.
    if codec == Codec::Json {
        let text = std::str::from_utf8(frame)?;
        let replies = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        return replies.with_context(|| format!("a frame: {text}"));
    }
    let replies = codec.decode_replies(frame);
    replies
        .map(|reply| Ok(serde_json::from_slice(&Codec::Json.encode_reply(&reply?))?))
        .collect()
}
