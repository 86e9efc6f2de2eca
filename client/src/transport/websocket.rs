//! WebSocket over HTTP/1.1.

mod handshake;

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use campanile_common::{Codec, ReplyFrames};
use futures_util::{Sink, Stream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Dial, DialContext, Dialing, Incoming, Transport, TransportKind, until};
use crate::{Closed, OpenError, TlsOptions};
use handshake::{Place, Request, Socket};

/// Opens WebSockets at one address.
#[derive(Clone)]
pub struct WebSocketDialer {
    /// Without what the codec adds.
    request: Request,
    place: Place,
    tls: TlsConnector,
}

impl WebSocketDialer {
    /// To connect to `url`: `ws://host[:port]/path`, or `wss://…` for TLS, which believes what [`TlsOptions`] do by
    /// default.
    pub fn new(url: &str) -> Result<Self, OpenError> {
        let request = handshake::request(url)?;
        Ok(Self {
            place: Place::of(&request)?,
            request,
            tls: connector(&TlsOptions::default()),
        })
    }

    /// With another idea of whom to believe.
    #[must_use]
    pub fn tls(mut self, options: &TlsOptions) -> Self {
        self.tls = connector(options);
        self
    }

    /// With another header on the request, for example `Origin`.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, OpenError> {
        handshake::add_header(&mut self.request, name, value)?;
        Ok(self)
    }

    /// From this address of this machine, to servers of its family alone.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.place.local = Some(address);
        self
    }

    async fn open(&self, codec: Codec, first: Option<Bytes>) -> Result<Box<dyn Transport>, OpenError> {
        let stream = self.place.connect(&self.tls).await?;
        let socket = handshake::upgrade(self.request.clone(), codec, stream).await?;
        let mut transport = WebSocketTransport::new(socket, codec);
        if let Some(command) = first {
            transport
                .start_send(command)
                .map_err(|closed| OpenError::Handshake(closed.into()))?;
        }
        Ok(Box::new(transport))
    }
}

fn connector(options: &TlsOptions) -> TlsConnector {
    TlsConnector::from(Arc::new(options.tcp()))
}

impl fmt::Debug for WebSocketDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocketDialer").field(&self.place).finish()
    }
}

impl Dial for WebSocketDialer {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        let DialContext {
            codec,
            deadline,
            first,
        } = context;
        Box::pin(until(deadline, self.open(codec, first)))
    }
}

/// One open WebSocket.
struct WebSocketTransport {
    socket: Socket,
    codec: Codec,
    /// What is left of the frame that came last.
    frame: ReplyFrames,
    /// Whether this side has said goodbye.
    closing: bool,
}

impl WebSocketTransport {
    fn new(socket: Socket, codec: Codec) -> Self {
        Self {
            socket,
            codec,
            frame: codec.decode_replies(&Bytes::new()),
            closing: false,
        }
    }

    fn socket(&mut self) -> Pin<&mut Socket> {
        Pin::new(&mut self.socket)
    }

    /// Takes the next frame of replies, if the message that comes next is one.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let frame = match ready!(self.socket().poll_next(cx)) {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => return Poll::Ready(Err(frame.into())),
            // tungstenite answers WebSocket's own pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Poll::Ready(Ok(())),
            Some(Err(error)) => return Poll::Ready(Err(error.into())),
            None => return Poll::Ready(Err(Closed::new(Closed::BROKEN, "no close frame"))),
        };
        self.frame = self.codec.decode_replies(&frame);
        Poll::Ready(Ok(()))
    }
}

impl Transport for WebSocketTransport {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Closed>> {
        loop {
            match self.frame.next() {
                Some(Ok(reply)) => return Poll::Ready(Ok(Incoming::Reply(reply))),
                Some(Err(error)) => {
                    return Poll::Ready(Err(Closed::new(Closed::MALFORMED, error.to_string())));
                }
                None => ready!(self.poll_frame(cx))?,
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.socket().poll_ready(cx).map_err(Closed::from)
    }

    fn start_send(&mut self, commands: Bytes) -> Result<(), Closed> {
        let message = if self.codec.is_binary() {
            Message::Binary(commands)
        } else {
            let text = commands
                .try_into()
                .map_err(|_| Closed::new(Closed::MALFORMED, "a JSON frame must be UTF-8"))?;
            Message::Text(text)
        };
        self.socket().start_send(message).map_err(Closed::from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.socket().poll_flush(cx).map_err(Closed::from)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, code: u32, reason: &str) -> Poll<()> {
        if !self.closing {
            self.closing = true;
            let goodbye = Message::Close(Some(CloseFrame {
                code: websocket_code(code).into(),
                reason: reason.into(),
            }));
            // One that cannot be said is of no use to anybody.
            let _ = self.socket().start_send(goodbye);
        }
        self.socket().poll_flush(cx).map(|_| ())
    }

    fn codec(&self) -> Codec {
        self.codec
    }

    fn kind(&self) -> TransportKind {
        TransportKind::WebSocket
    }
}

/// The code as WebSocket has it: 1000 is its word for leaving.
fn websocket_code(code: u32) -> u16 {
    match code {
        Closed::LEAVING => 1000,
        code => u16::try_from(code).unwrap_or(1000),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
