//! From an HTTP request to a WebSocket connection (RFC 6455 §4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use campanile_common::Codec;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade as auto;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::WebSocket;
use crate::config::WebSocketOptions;
use crate::tls::TlsStream;
use crate::transport::query;

/// What RFC 6455 appends to a client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The subprotocol that says in words what clients without one get as well.
const JSON_SUBPROTOCOL: &str = "centrifuge-json";

/// A request that may become a connection.
#[derive(Debug)]
pub struct Accepted {
    /// The headers of the answer, whose status is 101.
    pub headers: HeaderMap,
    /// The codec that the client chose.
    pub codec: Codec,
    upgrade: OnUpgrade,
}

/// Why a request does not become a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It does not ask for it.
    #[error("not a WebSocket request")]
    NotWebSocket,
    /// It speaks another version of WebSocket.
    #[error("only version 13 of WebSocket is spoken")]
    Version,
    /// Its key is not 16 bytes in base64.
    #[error("malformed Sec-WebSocket-Key")]
    Key,
    /// It asks for a codec that does not exist.
    #[error("unknown cf_protocol")]
    Codec,
}

impl HandshakeError {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotWebSocket | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Codec => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers of the answer: what would have been understood.
    #[must_use]
    pub fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        headers
    }
}

/// Checks a request and prepares the answer.
pub fn accept(request: &mut request::Parts) -> Result<Accepted, HandshakeError> {
    let headers = &request.headers;
    if request.method != Method::GET
        || request.version != Version::HTTP_11
        || !names(headers, &CONNECTION, "upgrade")
        || !names(headers, &UPGRADE, "websocket")
    {
        return Err(HandshakeError::NotWebSocket);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .ok_or(HandshakeError::Key)?
        .as_bytes();
    if STANDARD.decode(key).map(|key| key.len()) != Ok(16) {
        return Err(HandshakeError::Key);
    }
    let (codec, subprotocol) = choose_codec(headers, request.uri.query().unwrap_or_default())?;
    let headers = answer(key, subprotocol);
    let upgrade = request
        .extensions
        .remove::<OnUpgrade>()
        .ok_or(HandshakeError::NotWebSocket)?;
    Ok(Accepted {
        headers,
        codec,
        upgrade,
    })
}

impl Accepted {
    /// The connection, once the answer is sent. `None` if the client did not wait for it.
    pub async fn connection(self, options: &WebSocketOptions) -> Option<Connected> {
        let binary = self.codec.is_binary();
        let upgraded = match into_stream::<TcpStream>(self.upgrade.await.ok()?) {
            Ok((stream, unread)) => {
                // Batches are made here; waiting for more in the kernel would only add latency.
                stream.set_nodelay(true).ok()?;
                return Some(Connected::Plain(WebSocket::new(stream, unread, binary, options)));
            }
            Err(upgraded) => upgraded,
        };
        match into_stream::<TlsStream>(upgraded) {
            Ok((stream, unread)) => Some(Connected::Tls(WebSocket::new(stream, unread, binary, options))),
            Err(_) => {
                tracing::error!("the HTTP server serves streams of an unknown kind");
                None
            }
        }
    }
}

/// A connection over whichever stream HTTP was spoken on.
#[derive(Debug)]
pub enum Connected {
    /// `ws`.
    Plain(WebSocket<TcpStream>),
    /// `wss`.
    Tls(WebSocket<TlsStream>),
}

/// Takes the bare stream out, with what was read of it, so that nothing of the HTTP connection stays in memory.
fn into_stream<S>(upgraded: Upgraded) -> Result<(S, Bytes), Upgraded>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, unread) = match upgraded.downcast::<TokioIo<S>>() {
        Ok(parts) => (parts.io.into_inner(), parts.read_buf),
        Err(upgraded) => {
            let parts = auto::downcast::<TokioIo<S>>(upgraded)?;
            (parts.io.into_inner(), parts.read_buf)
        }
    };
    // Copied, for a slice would keep the whole read buffer of the HTTP server.
    Ok((stream, Bytes::copy_from_slice(&unread)))
}

/// Whether one of the tokens of a header is `token`.
fn names(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// The first subprotocol that is known decides, else the query; and the subprotocol to answer with.
fn choose_codec(headers: &HeaderMap, query: &str) -> Result<(Codec, Option<&'static str>), HandshakeError> {
    for offered in tokens(headers, &SEC_WEBSOCKET_PROTOCOL) {
        if offered == JSON_SUBPROTOCOL {
            return Ok((Codec::Json, Some(JSON_SUBPROTOCOL)));
        }
        if let Some(codec) = Codec::from_subprotocol(offered) {
            return Ok((codec, codec.subprotocol()));
        }
    }
    let codec = query::choose_codec(query).ok_or(HandshakeError::Codec)?;
    Ok((codec, None))
}

fn answer(key: &[u8], subprotocol: Option<&'static str>) -> HeaderMap {
    let proof = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let proof = HeaderValue::from_str(&proof).expect("base64 is ASCII");
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, proof);
    if let Some(subprotocol) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    headers
}

#[cfg(test)]
mod tests;
