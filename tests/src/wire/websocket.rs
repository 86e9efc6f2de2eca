//! WebSocket, as a wire uses it.

use anyhow::Result;
use campanile_common::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Handshake;
use super::link::{Closed, Received, Way};

/// A WebSocket connection.
pub(super) struct WebSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl WebSocket {
    pub(super) async fn open(url: &str, handshake: Handshake<'_>) -> Result<Self> {
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
        Ok(Self(connect_async(request).await?.0))
    }

    /// Sends a text frame, also one that is no text.
    pub(super) async fn send_text(&mut self, text: &[u8]) -> Result<()> {
        let frame = Frame::message(text.to_vec(), OpCode::Data(Data::Text), true);
        Ok(self.0.send(Message::Frame(frame)).await?)
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.send(Message::binary(bytes.to_vec())).await?)
    }

    pub(super) async fn receive(&mut self) -> Received {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Received::Messages(Bytes::from(text), Way::Control),
                Some(Ok(Message::Binary(bytes))) => return Received::Messages(bytes, Way::Control),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Received::Closed(Closed {
                        code: u16::from(frame.code).into(),
                        reason: frame.reason.to_string(),
                    });
                }
                Some(Ok(Message::Close(None))) | None => {
                    return Received::Closed(Closed::without_code(&""));
                }
                Some(Err(error)) => return Received::Closed(Closed::without_code(&error)),
                Some(Ok(_)) => {}
            }
        }
    }
}
