//! The client's end of a WebSocket connection, JSON codec, as simple as a test needs it.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a client receives.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    Reply(Value),
    Closed(u16),
    Gone,
}

pub(super) struct Client<S> {
    stream: S,
    /// Replies of the message that was received last, in reverse.
    replies: Vec<Value>,
    commands: u32,
    fragmented: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// After the handshake.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            replies: Vec::new(),
            commands: 0,
            fragmented: false,
        }
    }

    /// A client that is connected.
    pub(super) async fn connected(stream: S) -> Self {
        let mut client = Self::new(stream);
        let reply = client.call("connect", "{}").await;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        client
    }

    pub(super) async fn send_text(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes()).await;
    }

    /// Sends a fragment: the first if none was sent before, else one that continues it; no last one.
    pub(super) async fn send_part(&mut self, text: &str) {
        let first = if std::mem::replace(&mut self.fragmented, true) {
            0x00
        } else {
            0x01
        };
        self.send_frame(first, text.as_bytes()).await;
    }

    async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        // Masked with zeros.
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Sends a command and gives its number.
    pub(super) async fn command(&mut self, method: &str, request: &str) -> u32 {
        self.commands += 1;
        let id = self.commands;
        self.send_text(&format!("{{\"id\":{id},\"{method}\":{request}}}"))
            .await;
        id
    }

    /// Sends a command and gives its reply; pushes before it are dropped.
    pub(super) async fn call(&mut self, method: &str, request: &str) -> Value {
        let id = self.command(method, request).await;
        loop {
            let reply = self.reply().await;
            if reply["id"] == id {
                return reply;
            }
        }
    }

    pub(super) async fn subscribe(&mut self, channel: &str) -> Value {
        let reply = self
            .call("subscribe", &format!("{{\"channel\":\"{channel}\"}}"))
            .await;
        assert!(reply["subscribe"].is_object(), "{reply}");
        reply
    }

    /// The next reply or push.
    pub(super) async fn reply(&mut self) -> Value {
        match self.receive().await {
            Received::Reply(reply) => reply,
            end => panic!("expected a reply, got {end:?}"),
        }
    }

    /// The next publication; everything else is dropped.
    pub(super) async fn publication(&mut self) -> Value {
        loop {
            let reply = self.reply().await;
            if !reply["push"]["pub"].is_null() {
                return reply["push"]["pub"].clone();
            }
        }
    }

    /// The code of the close frame; everything before it is dropped.
    pub(super) async fn closed(&mut self) -> Received {
        loop {
            match self.receive().await {
                Received::Reply(_) => {}
                end => return end,
            }
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, self.receive_patiently())
            .await
            .expect("something must come")
    }

    async fn receive_patiently(&mut self) -> Received {
        while self.replies.is_empty() {
            let Some((opcode, payload)) = self.read_frame().await else {
                return Received::Gone;
            };
            match opcode {
                0x81 => {
                    let text = String::from_utf8(payload).unwrap();
                    let replies = text.split('\n').map(|line| serde_json::from_str(line).unwrap());
                    self.replies = replies.collect();
                    self.replies.reverse();
                }
                0x88 => {
                    self.send_frame(0x88, &payload[..2]).await;
                    return Received::Closed(u16::from_be_bytes([payload[0], payload[1]]));
                }
                opcode => panic!("frame {opcode:#x}"),
            }
        }
        Received::Reply(self.replies.pop().unwrap())
    }

    async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let opcode = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.ok()? {
            126 => usize::from(self.stream.read_u16().await.ok()?),
            127 => usize::try_from(self.stream.read_u64().await.ok()?).unwrap(),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((opcode, payload))
    }
}
