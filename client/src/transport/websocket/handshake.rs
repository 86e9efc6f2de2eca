//! From an address to an open WebSocket.

use std::net::{IpAddr, SocketAddr};

use campanile_common::Codec;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
pub(super) use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::uri::{PathAndQuery, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::OpenError;
use crate::transport::addresses::{HEAD_START, first, resolve, staggered};

/// What a WebSocket can run over.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Io>>;

/// The bytes read at once. tungstenite fills the whole buffer with zeros before each read, and keeps it
/// while the connection is idle: its default of 128 KiB is too much for a harness with thousands of
/// connections.
const READ_BUFFER: usize = 4096;

/// Where a server has its WebSocket unless it is told otherwise.
const DEFAULT_PATH: &str = "/connection/websocket";

/// The request that asks for a WebSocket at `url`.
pub(super) fn request(url: &str) -> Result<Request, OpenError> {
    let invalid = |error: String| OpenError::Address(format!("{url}: {error}"));
    let mut parts = url
        .parse::<Uri>()
        .map_err(|error| invalid(error.to_string()))?
        .into_parts();
    if parts.path_and_query.as_ref().is_none_or(|path| path == "/") {
        parts.path_and_query = Some(PathAndQuery::from_static(DEFAULT_PATH));
    }
    let whole = Uri::from_parts(parts).map_err(|error| invalid(error.to_string()))?;
    whole
        .into_client_request()
        .map_err(|error| invalid(error.to_string()))
}

/// Puts a header on the request.
pub(super) fn add_header(request: &mut Request, name: &str, value: &str) -> Result<(), OpenError> {
    let name: HeaderName = name
        .parse()
        .map_err(|_| OpenError::Address(format!("header {name:?}")))?;
    let value = value
        .parse()
        .map_err(|_| OpenError::Address(format!("value of header {name}")))?;
    request.headers_mut().insert(name, value);
    Ok(())
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The host's name or address.
    host: String,
    port: u16,
    /// The name that the server's certificate must have, where there is TLS.
    certified: Option<ServerName<'static>>,
    /// The address of this machine to connect from, if it matters.
    pub(super) local: Option<IpAddr>,
}

impl Place {
    /// The host that `request` names.
    pub(super) fn of(request: &Request) -> Result<Self, OpenError> {
        let uri = request.uri();
        let invalid = || OpenError::Address(uri.to_string());
        let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
        let (port, certified) = match uri.scheme_str() {
            Some("ws") => (80, None),
            Some("wss") => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid())?;
                (443, Some(name))
            }
            _ => return Err(invalid()),
        };
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(port),
            certified,
            local: None,
        })
    }

    /// Connects to the first of the host's addresses that answers.
    pub(super) async fn connect(&self, tls: &TlsConnector) -> Result<Box<dyn Io>, OpenError> {
        let mut addresses = resolve(&self.host, self.port).await?;
        if let Some(local) = self.local {
            addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
            if addresses.is_empty() {
                return Err(OpenError::Connect {
                    address: format!("{}:{}", self.host, self.port),
                    source: std::io::ErrorKind::AddrNotAvailable.into(),
                });
            }
        }
        let attempts = addresses.into_iter().map(|address| connect(address, self.local));
        let stream = staggered(attempts, HEAD_START).await.map_err(first)?;
        let Some(name) = &self.certified else {
            return Ok(Box::new(stream));
        };
        match tls.connect(name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(OpenError::Handshake(error.into())),
        }
    }
}

async fn connect(address: SocketAddr, local: Option<IpAddr>) -> Result<TcpStream, OpenError> {
    let connect = async {
        let stream = match local {
            None => TcpStream::connect(&address).await?,
            Some(local) => {
                let socket = if local.is_ipv4() {
                    TcpSocket::new_v4()
                } else {
                    TcpSocket::new_v6()
                }?;
                socket.bind((local, 0).into())?;
                socket.connect(address).await?
            }
        };
        // Commands are small and are waited for: none may be held back to be sent with the next.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connect.await.map_err(|source| OpenError::Connect {
        address: address.to_string(),
        source,
    })
}

/// Makes a WebSocket with `codec` of a connection to the server.
pub(super) async fn upgrade(
    mut request: Request,
    codec: Codec,
    stream: Box<dyn Io>,
) -> Result<Socket, OpenError> {
    if let Some(subprotocol) = codec.subprotocol() {
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(OpenError::Refused(response.status().as_u16())),
        Err(error) => Err(OpenError::Handshake(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_means_the_usual_one() {
        for (url, whole) in [
            ("ws://host", "ws://host/connection/websocket"),
            ("wss://host:1/", "wss://host:1/connection/websocket"),
            ("ws://host/own", "ws://host/own"),
            ("ws://host/?cf_protocol=json", "ws://host/?cf_protocol=json"),
        ] {
            assert_eq!(request(url).unwrap().uri().to_string(), whole);
        }
        for url in ["", "host", "/path", "ws://"] {
            assert!(request(url).is_err(), "{url}");
        }
    }
}
