//! What quinn and rustls are told, and what a connection costs.
//!
//! An idle connection holds no data, so windows and buffers cost nothing by themselves; they bound what a client can
//! make this side hold. What it holds when idle is quinn's and rustls' own state.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::native::ALPN;
use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};

use crate::config::options::ClientOptions;
use crate::config::{CongestionControl, QuicOptions, WebTransportOptions};
use crate::tls::Certificates;

/// HTTP/3's name in the TLS handshake.
pub(super) const H3: &[u8] = b"h3";

/// The version of QUIC that is spoken: 1 (RFC 9000).
const VERSIONS: [u32; 1] = [1];

/// Streams that a client may open, whatever it speaks. WebTransport needs two in both directions, the request's and the
/// session's, and HTTP/3 three in one, control and QPACK's two; what more such a client would like to open waits for
/// ever, on its side. A native client needs one in both, and is told off for another.
const BOTH_DIRECTIONS: u32 = 2;
const ONE_DIRECTION: u32 = 3;

/// What may arrive beside the longest message, so that a message does not fill its window.
const WINDOW_SLACK: usize = 16 * 1024;

/// Bytes that are sent and not acknowledged at most: what a connection can carry in one round trip. What waits beyond
/// that waits in the connection's queue, where `client.queue_max_size` decides.
const SEND_WINDOW: u64 = 256 * 1024;

/// Bytes of the handshake that may arrive out of order. Clients have no certificates here, so theirs is short.
const CRYPTO_BUFFER: usize = 8 * 1024;

/// Bytes of datagrams that arrive and that nobody has read. Clients have nothing to say in datagrams, but HTTP/3 wants
/// them to be possible.
const DATAGRAMS_RECEIVED: usize = 4 * 1024;

/// Bytes of datagrams that are handed over to be sent. More wait in the connection's queue, where the oldest are dropped.
const DATAGRAMS_SENT: usize = 16 * 1024;

/// Bytes that may arrive for a connection before it is looked at, and for all such connections.
const INCOMING: u64 = 16 * 1024;
const INCOMING_TOTAL: u64 = 4 * 1024 * 1024;

/// Sessions that clients may resume, about 300 bytes each.
const RESUMABLE: usize = 32 * 1024;

/// Tickets for resuming that a client gets; each is good for one attempt.
const TICKETS: usize = 2;

/// What an idle connection is given beyond ping and pong.
const IDLE_SLACK: Duration = Duration::from_secs(10);

/// Where the session sends no pings, QUIC does: this often, and a client that is silent for three of them is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the first packet to the first message.
    pub(super) beginning: Duration,
    /// Between two packets.
    idle: Duration,
    /// How often QUIC itself pings.
    keep_alive: Option<Duration>,
}

impl Patience {
    /// That of sessions.
    #[must_use]
    pub fn of(client: &ClientOptions) -> Self {
        let beginning = client.stale_close_delay;
        match client.ping_interval {
            Duration::ZERO => Self {
                beginning,
                idle: 3 * KEEP_ALIVE,
                keep_alive: Some(KEEP_ALIVE),
            },
            interval => Self {
                beginning,
                idle: interval + client.pong_timeout + IDLE_SLACK,
                keep_alive: None,
            },
        }
    }
}

/// Everything an endpoint is made of, but for its socket.
#[derive(Debug)]
pub struct Settings {
    pub(super) options: QuicOptions,
    pub(super) patience: Patience,
    certificates: Certificates,
    pub(super) webtransport: Option<WebTransportOptions>,
}

impl Settings {
    /// An endpoint that shows `certificates`, for native clients.
    #[must_use]
    pub const fn new(options: QuicOptions, patience: Patience, certificates: Certificates) -> Self {
        Self {
            options,
            patience,
            certificates,
            webtransport: None,
        }
    }

    /// The same, for sessions of WebTransport as well, if there are options for them.
    #[must_use]
    pub fn with_webtransport(self, webtransport: Option<WebTransportOptions>) -> Self {
        Self { webtransport, ..self }
    }

    pub(super) fn endpoint() -> EndpointConfig {
        let mut config = EndpointConfig::default();
        config.supported_versions(VERSIONS.to_vec());
        config
    }

    pub(super) fn server(&self) -> ServerConfig {
        let mut config = ServerConfig::with_crypto(Arc::new(self.crypto()));
        config
            .transport_config(Arc::new(self.transport()))
            .migration(true)
            .max_incoming(self.options.max_handshakes)
            .incoming_buffer_size(INCOMING)
            .incoming_buffer_size_total(INCOMING_TOTAL);
        config
    }

    fn crypto(&self) -> QuicServerConfig {
        let protocols: &[&[u8]] = match self.webtransport {
            Some(_) => &[ALPN, H3],
            None => &[ALPN],
        };
        let mut config = self.certificates.server_config(protocols);
        config.send_tls13_tickets = TICKETS;
        // Sessions are resumed from this memory alone, and each once: see `docs/protocol.md` on 0-RTT. Whoever puts a
        // ticketer in its place opens the door to replays.
        config.session_storage = if self.options.zero_rtt {
            ServerSessionMemoryCache::new(RESUMABLE)
        } else {
            Arc::new(NoServerSessionStorage {})
        };
        // QUIC knows all or nothing (RFC 9001 §4.6.1).
        config.max_early_data_size = if self.options.zero_rtt { u32::MAX } else { 0 };
        QuicServerConfig::try_from(config).expect("ring has the suite that QUIC begins with")
    }

    fn transport(&self) -> TransportConfig {
        let longest = self
            .webtransport
            .as_ref()
            .map_or(0, |options| options.message_size_limit);
        let longest = longest.max(self.options.message_size_limit);
        let window = VarInt::try_from(longest + WINDOW_SLACK).unwrap_or(VarInt::MAX);
        let mut config = TransportConfig::default();
        config
            .max_concurrent_bidi_streams(BOTH_DIRECTIONS.into())
            .max_concurrent_uni_streams(ONE_DIRECTION.into())
            .stream_receive_window(window)
            .receive_window(window)
            .send_window(SEND_WINDOW)
            .crypto_buffer_size(CRYPTO_BUFFER)
            .datagram_receive_buffer_size(Some(DATAGRAMS_RECEIVED))
            .datagram_send_buffer_size(DATAGRAMS_SENT)
            .keep_alive_interval(self.patience.keep_alive)
            .max_idle_timeout(IdleTimeout::try_from(self.patience.idle).ok());
        if self.options.congestion_control == CongestionControl::Bbr {
            config.congestion_controller_factory(Arc::new(BbrConfig::default()));
        }
        config
    }
}
