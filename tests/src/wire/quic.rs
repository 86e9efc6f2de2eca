//! QUIC below the protocols: for wires, and for tests that do with a QUIC connection what no client would.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use campanile_common::Codec;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, TransportConfig, VarInt};

use super::endpoint::Udp;
use super::link::Closed;
use super::tls;

/// The protocol of native clients.
pub const NATIVE: &[u8] = b"campanile/1";

/// The name that a client asks for; a certificate that is pinned is not asked for names.
const HOST: &str = "localhost";

/// What a client keeps of a stream that nobody reads, and of all of them. Small, so that whoever does not read is soon noticed.
const STREAM_WINDOW: u32 = 64 * 1024;
const WINDOW: u32 = 256 * 1024;

/// How a QUIC connection is opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The protocols that are offered.
    pub alpn: &'a [&'a [u8]],
    /// How many streams the server may open.
    pub streams: u32,
    /// Whether datagrams are taken.
    pub datagrams: bool,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Self {
            alpn: &[NATIVE],
            streams: 0,
            datagrams: false,
        }
    }
}

/// A UDP socket of a client, for one connection or for many.
pub fn socket() -> Result<quinn::Endpoint> {
    Ok(quinn::Endpoint::client(SocketAddr::from((
        Ipv4Addr::UNSPECIFIED,
        0,
    )))?)
}

/// Opens a connection through `socket` and waits for the end of the handshake.
pub async fn open(socket: &quinn::Endpoint, to: &Udp, opening: Opening<'_>) -> Result<Connection> {
    let config = config(to, opening)?;
    Ok(socket.connect_with(config, to.address, HOST)?.await?)
}

/// What a connection is made with.
pub fn config(to: &Udp, opening: Opening<'_>) -> Result<ClientConfig> {
    let tls = tls::client(&to.certificate, opening.alpn)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport(opening)));
    Ok(config)
}

fn transport(opening: Opening<'_>) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(opening.streams));
    if !opening.datagrams {
        transport.datagram_receive_buffer_size(None);
    }
    transport
}

/// The first two bytes of the control stream.
pub fn preface(codec: Codec, takes_streams: bool, takes_datagrams: bool) -> [u8; 2] {
    let codec = match codec {
        Codec::Json => 0x01,
        Codec::Protobuf => 0x02,
        Codec::MessagePack => 0x03,
    };
    [codec, u8::from(takes_streams) | u8::from(takes_datagrams) << 1]
}

/// How a QUIC connection was closed.
pub fn closed(error: ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(frame) => Closed {
            code: u32::try_from(frame.error_code.into_inner()).unwrap_or(u32::MAX),
            reason: String::from_utf8_lossy(&frame.reason).into_owned(),
        },
        error => Closed::without_code(&error),
    }
}
