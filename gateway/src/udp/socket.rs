//! The socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// The address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on UDP port {address}, which QUIC needs (quic.enabled: false does without)")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// Whether somebody else has the port.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// A socket that nobody reads from yet.
#[derive(Debug)]
pub struct Socket {
    pub(super) socket: UdpSocket,
    address: SocketAddr,
}

impl Socket {
    /// That of `address`.
    ///
    /// # Errors
    ///
    /// If somebody has it, or the machine does not.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let socket = UdpSocket::bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bind().map_err(|source| BindError { address, source })
    }

    /// The address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
