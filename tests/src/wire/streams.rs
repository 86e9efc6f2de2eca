//! Native QUIC and WebTransport, as a wire uses them: one stream for commands and replies, and in native QUIC perhaps one more
//! for each subscription, and datagrams.

use std::io;

use anyhow::{Context as _, Result};
use campanile_common::{Bytes, Codec};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use quinn::VarInt;
use reqwest::Url;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use web_transport_quinn::http::HeaderValue;
use web_transport_quinn::http::header::ORIGIN;
use web_transport_quinn::proto::ConnectRequest;
use web_transport_quinn::{SessionError, WebTransportError};

use super::Handshake;
use super::endpoint::Udp;
use super::link::{Closed, Received, Way};
use super::messages::{MessageStream, in_datagram};
use super::quic::{self, Opening};

/// Streams that a browser lets a server open, three of them for HTTP/3 itself.
const BROWSERS_STREAMS: u32 = 100;

/// A connection whose messages go over streams.
pub(super) struct Streams {
    codec: Codec,
    session: Session,
    control: Box<dyn AsyncWrite + Send + Unpin>,
    /// Everything that something may come from.
    sources: FuturesUnordered<BoxFuture<'static, Source>>,
}

enum Session {
    Quic(quinn::Connection),
    WebTransport(Box<web_transport_quinn::Session>),
}

/// Where something came from, and what.
enum Source {
    Stream(MessageStream, io::Result<Option<(Bytes, Way)>>),
    Opened(quinn::RecvStream),
    Datagram(Bytes),
    /// The connection ended, which is asked for its reason once all of them have.
    Over,
}

impl Streams {
    /// Opens a native connection.
    pub(super) async fn quic(to: &Udp, handshake: Handshake<'_>) -> Result<Self> {
        let opening = Opening {
            streams: handshake.streams,
            datagrams: handshake.datagrams,
            ..Opening::default()
        };
        let connection = quic::open(&quic::socket()?, to, opening).await?;
        let (mut send, receive) = connection.open_bi().await?;
        let preface = quic::preface(handshake.codec, handshake.streams > 0, handshake.datagrams);
        send.write_all(&preface).await?;
        let control = MessageStream::control(receive, handshake.codec);
        let streams = Self::new(handshake.codec, Session::Quic(connection), send, control);
        streams.accept();
        streams.take_datagram();
        Ok(streams)
    }

    /// Opens a WebTransport session.
    pub(super) async fn web_transport(to: &Udp, handshake: Handshake<'_>) -> Result<Self> {
        let opening = Opening {
            alpn: &[web_transport_quinn::ALPN.as_bytes()],
            streams: BROWSERS_STREAMS,
            datagrams: true,
        };
        let connection = quic::open(&quic::socket()?, to, opening).await?;
        let path = "/connection/webtransport";
        let codec = handshake.codec.label();
        let url = Url::parse(&format!("https://{}{path}?cf_protocol={codec}", to.address))?;
        let mut request = ConnectRequest::new(url);
        if let Some(origin) = handshake.origin {
            request.headers.insert(ORIGIN, HeaderValue::from_str(origin)?);
        }
        let session = web_transport_quinn::Session::connect(connection, request).await?;
        let (send, receive) = session.open_bi().await?;
        let control = MessageStream::control(receive, handshake.codec);
        Ok(Self::new(
            handshake.codec,
            Session::WebTransport(Box::new(session)),
            send,
            control,
        ))
    }

    fn new(
        codec: Codec,
        session: Session,
        send: impl AsyncWrite + Send + Unpin + 'static,
        control: MessageStream,
    ) -> Self {
        let streams = Self {
            codec,
            session,
            control: Box::new(send),
            sources: FuturesUnordered::new(),
        };
        streams.read(control);
        streams
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.control.write_all(bytes).await?)
    }

    pub(super) async fn finish(&mut self) {
        // It may have ended already.
        let _ = self.control.shutdown().await;
    }

    pub(super) async fn receive(&mut self) -> Result<Received> {
        while let Some(source) = self.sources.next().await {
            match source {
                Source::Stream(stream, Ok(Some((messages, way)))) => {
                    self.read(stream);
                    return Ok(Received::Messages(messages, way));
                }
                Source::Stream(_, Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(error).context("what came on a stream");
                }
                // Why it ended is for the connection to say, if that has ended too.
                Source::Stream(_, _) | Source::Over => {}
                Source::Opened(stream) => {
                    self.read(MessageStream::lane(stream, self.codec));
                    self.accept();
                }
                Source::Datagram(datagram) => {
                    self.take_datagram();
                    let (message, way) = in_datagram(&datagram, self.codec)?;
                    return Ok(Received::Messages(message, way));
                }
            }
        }
        Ok(Received::Closed(self.session.closed().await))
    }

    fn read(&self, mut stream: MessageStream) {
        self.sources.push(Box::pin(async move {
            let next = stream.next().await;
            Source::Stream(stream, next)
        }));
    }

    fn accept(&self) {
        if let Session::Quic(connection) = &self.session {
            let connection = connection.clone();
            let opened = async move { connection.accept_uni().await.map_or(Source::Over, Source::Opened) };
            self.sources.push(Box::pin(opened));
        }
    }

    fn take_datagram(&self) {
        if let Session::Quic(connection) = &self.session {
            let connection = connection.clone();
            let datagram = async move {
                connection
                    .read_datagram()
                    .await
                    .map_or(Source::Over, Source::Datagram)
            };
            self.sources.push(Box::pin(datagram));
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        // The session's own tasks would keep the connection.
        let connection: &quinn::Connection = match &self.session {
            Session::Quic(connection) => connection,
            Session::WebTransport(session) => session,
        };
        connection.close(VarInt::from_u32(0), b"");
    }
}

impl Session {
    async fn closed(&self) -> Closed {
        match self {
            Self::Quic(connection) => quic::closed(connection.closed().await),
            Self::WebTransport(session) => match session.closed().await {
                SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => {
                    Closed { code, reason }
                }
                SessionError::ConnectionError(error) => quic::closed(error),
                error => Closed::without_code(&error),
            },
        }
    }
}
