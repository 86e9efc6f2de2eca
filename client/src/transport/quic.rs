//! The native protocol over QUIC.
//!
//! - [`QuicDialer`]: one server, and what makes the next connection to it faster.
//! - `handshake`: from an address to an open connection, with early data where that is possible.
//! - `session`: an open connection as a [`Transport`].
//! - `frames`, `lanes`, `datagrams`: what it reads from.

mod config;
mod datagrams;
mod endpoints;
mod frames;
mod goodbye;
mod handshake;
mod lanes;
mod session;
mod stats;

pub use stats::QuicStats;

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::addresses::{HEAD_START, first, resolve, staggered};
use super::{Dial, DialContext, Dialing, Transport, until};
use crate::{OpenError, TlsOptions};
use config::Settings;
use endpoints::Endpoints;
use handshake::Attempt;
use session::QuicTransport;
use stats::Counters;

/// Opens connections of the native protocol over QUIC to one server.
///
/// It keeps UDP sockets that its connections share (one for each family of addresses), the tickets that let a later connection send
/// its first command with its very first packet, and the address that answered.
pub struct QuicDialer {
    host: String,
    port: u16,
    settings: Settings,
    endpoints: Endpoints,
    counters: Arc<Counters>,
    /// The address that answered last: the first to try.
    answered: Mutex<Option<SocketAddr>>,
}

impl QuicDialer {
    /// To connect to `url`: `quic://host:port`.
    pub fn new(url: &str, tls: &TlsOptions) -> Result<Self, OpenError> {
        let (host, port) =
            place(url).ok_or_else(|| OpenError::Address(format!("{url}: not quic://host:port")))?;
        Ok(Self {
            host,
            port,
            settings: Settings::new(tls),
            endpoints: Endpoints::default(),
            counters: Arc::default(),
            answered: Mutex::default(),
        })
    }

    /// Whether publications of different channels may come on streams of their own, so that none waits for a lost packet
    /// of another; they may, unless told otherwise.
    #[must_use]
    pub fn lanes(mut self, take: bool) -> Self {
        self.settings.lanes = take;
        self
    }

    /// Whether publications that the server may lose can come in datagrams; they can, unless told otherwise.
    #[must_use]
    pub fn datagrams(mut self, take: bool) -> Self {
        self.settings.datagrams = take;
        self
    }

    /// Whether the first command may be sent as early data; it may, unless told otherwise.
    #[must_use]
    pub fn early_data(mut self, send: bool) -> Self {
        self.settings.early_data = send;
        self
    }

    /// The longest message that is taken from the server in bytes, and what all that have only come in part may take up
    /// together; 64 MiB unless told otherwise.
    #[must_use]
    pub fn message_limit(mut self, bytes: usize) -> Self {
        self.settings.message_limit = bytes;
        self
    }

    /// How long nothing may come from the server before it is taken for dead; 180 s unless told otherwise, or less if the
    /// server says so. A third of it after the last packet the server is asked whether it is still there.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// Goes on over another UDP socket, with all connections over the family of addresses that `socket` is bound to: for a
    /// change of network that the system does not bring about by itself. The connections stay, as far as the server
    /// allows them to move.
    pub fn rebind(&self, socket: UdpSocket) -> io::Result<()> {
        self.endpoints.rebind(socket)
    }

    /// The address that connections over IPv4 or over IPv6 come from, once there has been one.
    #[must_use]
    pub fn local_address(&self, v6: bool) -> Option<SocketAddr> {
        self.endpoints.local_address(v6)
    }

    /// What has happened on its connections.
    #[must_use]
    pub fn stats(&self) -> QuicStats {
        self.counters.read()
    }

    async fn open(&self, context: DialContext) -> Result<Box<dyn Transport>, OpenError> {
        let mut addresses = resolve(&self.host, self.port).await?;
        let answered = *self.answered();
        addresses.sort_by_key(|&address| Some(address) != answered);
        let config = self.settings.client_config();
        let attempts = addresses.into_iter().map(|address| {
            let attempt = Attempt {
                config: config.clone(),
                server_name: &self.host,
                preface: self.settings.preface(context.codec),
                first: context.first.clone(),
                early_data: self.settings.early_data,
                counters: &self.counters,
            };
            async move { attempt.open(&self.endpoints, address).await }
        });
        let established = staggered(attempts, HEAD_START).await.map_err(first)?;
        *self.answered() = Some(established.connection.remote_address());
        Ok(Box::new(QuicTransport::new(
            established,
            context.codec,
            self.settings.message_limit,
            self.counters.clone(),
        )))
    }

    fn answered(&self) -> std::sync::MutexGuard<'_, Option<SocketAddr>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dial for QuicDialer {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        Box::pin(until(context.deadline, self.open(context)))
    }
}

impl fmt::Debug for QuicDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicDialer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Host, without the brackets of an IPv6 address, and port.
fn place(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("quic://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let plain = !bare.is_empty() && !bare.contains(['/', '@', '?', '#', '[', ']', ' ']);
    Some((plain.then(|| bare.to_owned())?, port.parse().ok()?))
}

#[cfg(test)]
mod tests;
