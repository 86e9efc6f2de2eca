//! The client protocol by hand: for tests that must choose every field, or send what no client would.
//!
//! Commands and replies are written as JSON values here, whichever codec the connection uses.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use campanile_common::{Bytes, Codec};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::wait::SOON;

/// How a connection is opened.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'a> {
    /// The codec to ask for.
    pub codec: Codec,
    /// The page that opens the connection, as a browser says it.
    pub origin: Option<&'a str>,
}

impl Default for Handshake<'_> {
    fn default() -> Self {
        Self {
            codec: Codec::Json,
            origin: None,
        }
    }
}

/// A WebSocket connection to a gateway.
#[derive(Debug)]
pub struct Wire {
    codec: Codec,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pushes: VecDeque<Value>,
    next: u32,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the close frame; 0 when the connection ended without one.
    pub code: u16,
    /// The reason of the close frame.
    pub reason: String,
}

impl Wire {
    /// Opens a connection and says nothing.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, Handshake::default()).await
    }

    /// Opens a connection in a certain way and says nothing.
    pub async fn open_with(url: &str, handshake: Handshake<'_>) -> Result<Self> {
        let mut request = url.into_client_request()?;
        if let Some(name) = handshake.codec.subprotocol() {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", HeaderValue::from_str(name)?);
        }
        if let Some(origin) = handshake.origin {
            request
                .headers_mut()
                .insert("Origin", HeaderValue::from_str(origin)?);
        }
        let (socket, _) = timeout(SOON, connect_async(request)).await??;
        Ok(Self {
            codec: handshake.codec,
            socket,
            pushes: VecDeque::new(),
            next: 1,
        })
    }

    /// Opens a connection and connects with a token.
    pub async fn connect(url: &str, token: &str) -> Result<Self> {
        Self::connect_with(url, token, Codec::Json).await
    }

    /// Opens a connection in this codec and connects with a token.
    pub async fn connect_with(url: &str, token: &str, codec: Codec) -> Result<Self> {
        let mut wire = Self::open_with(
            url,
            Handshake {
                codec,
                ..Handshake::default()
            },
        )
        .await?;
        let reply = wire.request(json!({ "connect": { "token": token } })).await?;
        reply
            .get("connect")
            .with_context(|| format!("connecting was answered with {reply}"))?;
        Ok(wire)
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// Sends a frame as it is, valid or not.
    pub async fn send_frame(&mut self, frame: Frame) -> Result<()> {
        Ok(self.socket.send(Message::Frame(frame)).await?)
    }

    /// Sends a command.
    pub async fn send(&mut self, command: &Value) -> Result<()> {
        if !self.codec.is_binary() {
            return self.send_text(&command.to_string()).await;
        }
        let json = Bytes::from(command.to_string());
        let command = Codec::Json.decode_commands(&json).next().context("a command")??;
        self.send_bytes(&self.codec.encode_command(&command)).await
    }

    /// Sends a binary frame.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.send(Message::binary(bytes.to_vec())).await?)
    }

    /// Sends a command, numbered, and waits for its reply; pushes that come before are kept.
    pub async fn request(&mut self, mut command: Value) -> Result<Value> {
        let id = self.next;
        self.next += 1;
        command["id"] = json!(id);
        self.send(&command).await?;
        loop {
            for reply in self
                .replies(SOON)
                .await
                .with_context(|| format!("waiting for {command}"))?
            {
                if reply["id"] == id {
                    return Ok(reply);
                }
                self.keep(&reply);
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
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Ok(push);
            }
            for reply in self.replies(SOON).await.context("waiting for a push")? {
                self.keep(&reply);
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
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => {
                        let (code, reason) = frame
                            .map(|it| (it.code.into(), it.reason.to_string()))
                            .unwrap_or_default();
                        return Closed { code, reason };
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => {
                        return Closed {
                            code: 0,
                            reason: String::new(),
                        };
                    }
                }
            }
        })
        .await
        .context("the connection was not closed")
    }

    /// Whether a command is still answered.
    pub async fn is_alive(&mut self) -> bool {
        // There is no handler for it, which is an answer too.
        self.request(json!({ "rpc": { "method": "nothing", "data": {} } }))
            .await
            .is_ok()
    }

    fn keep(&mut self, reply: &Value) {
        if let Some(push) = reply.get("push") {
            self.pushes.push_back(push.clone());
        }
    }

    /// The replies in the next frame; pings are answered.
    async fn replies(&mut self, deadline: Duration) -> Result<Vec<Value>> {
        loop {
            let message = timeout(deadline, self.socket.next())
                .await
                .context("nothing came")?;
            let frame = match message.context("the connection ended")?? {
                Message::Text(text) => Bytes::from(text),
                Message::Binary(bytes) => bytes,
                Message::Close(frame) => bail!("the connection was closed: {frame:?}"),
                _ => continue,
            };
            let all = decode(self.codec, &frame)?;
            let (pings, replies): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| *it == json!({}));
            if !pings.is_empty() {
                self.send(&json!({})).await?;
            }
            if !replies.is_empty() {
                return Ok(replies);
            }
        }
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
