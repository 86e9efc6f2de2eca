//! The numbers of a client's connections.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::Codec;
use campanile_common::native::{ALPN, Preface};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, IdleTimeout, TransportConfig, VarInt};

use crate::TlsOptions;

/// Subscriptions with a stream of their own at once: twice as many as a gateway allows subscriptions unless it is told
/// otherwise. Those beyond share the control stream.
pub(super) const MAX_LANES: u32 = 256;

/// Bytes that may wait on one stream until they are read.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes that may wait on all streams together: enough that streams which wait for a lost packet leave room to the others.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of commands that are on their way.
const SEND_WINDOW: u64 = 256 * 1024;

/// Bytes of datagrams that may wait until they are read; the oldest are dropped for new ones.
const DATAGRAM_BUFFER: usize = 128 * 1024;

/// The longest message of a server in bytes: what the WebSocket takes, too.
const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

/// How long a server may be silent. Longer than the interval of pings anywhere: those are what finds a dead server early.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// What was asked for.
pub(super) struct Settings {
    crypto: Arc<QuicClientConfig>,
    pub(super) lanes: bool,
    pub(super) datagrams: bool,
    pub(super) early_data: bool,
    pub(super) message_limit: usize,
    pub(super) idle_timeout: Duration,
}

impl Settings {
    pub(super) fn new(tls: &TlsOptions) -> Self {
        let crypto = QuicClientConfig::try_from(tls.quic(ALPN));
        Self {
            crypto: Arc::new(crypto.expect("ring has the suite of QUIC's first packets")),
            lanes: true,
            datagrams: true,
            early_data: true,
            message_limit: MESSAGE_LIMIT,
            idle_timeout: IDLE_TIMEOUT,
        }
    }

    /// What a connection begins with.
    pub(super) const fn preface(&self, codec: Codec) -> Preface {
        Preface {
            codec,
            lanes: self.lanes,
            datagrams: self.datagrams,
        }
    }

    /// What quinn is told. All connections share the tickets.
    pub(super) fn client_config(&self) -> ClientConfig {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(if self.lanes { MAX_LANES } else { 0 }))
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
            .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
            .send_window(SEND_WINDOW)
            .datagram_receive_buffer_size(self.datagrams.then_some(DATAGRAM_BUFFER))
            // One longer than quinn's 2^62 ms is none.
            .max_idle_timeout(IdleTimeout::try_from(self.idle_timeout).ok())
            .keep_alive_interval(Some(self.idle_timeout / 3));
        let mut config = ClientConfig::new(self.crypto.clone());
        config.transport_config(Arc::new(transport));
        config
    }
}
