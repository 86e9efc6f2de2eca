//! The UDP sockets of a dialer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quinn::{ClientConfig, ConnectError, Connecting, Endpoint};

use crate::OpenError;

/// One socket for each family of addresses, made when it is needed first: a socket for both is not to be had everywhere.
#[derive(Default)]
pub(super) struct Endpoints {
    v4: Mutex<Option<Endpoint>>,
    v6: Mutex<Option<Endpoint>>,
}

impl Endpoints {
    /// Begins a connection to `address`.
    pub(super) fn connect(
        &self,
        config: &ClientConfig,
        address: SocketAddr,
        server_name: &str,
    ) -> Result<Connecting, OpenError> {
        let begin = |endpoint: &Endpoint| endpoint.connect_with(config.clone(), address, server_name);
        let begun = match begin(&self.endpoint(address, false)?) {
            // Its task has ended, with the runtime that it ran on or by an error of the socket.
            Err(ConnectError::EndpointStopping) => begin(&self.endpoint(address, true)?),
            begun => begun,
        };
        begun.map_err(|error| OpenError::Handshake(error.into()))
    }

    pub(super) fn rebind(&self, socket: UdpSocket) -> io::Result<()> {
        let v6 = socket.local_addr()?.is_ipv6();
        match &*self.slot(v6) {
            Some(endpoint) => endpoint.rebind(socket),
            None => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "no connection over this family of addresses",
            )),
        }
    }

    pub(super) fn local_address(&self, v6: bool) -> Option<SocketAddr> {
        self.slot(v6).as_ref()?.local_addr().ok()
    }

    /// The endpoint for `address`; a new one if there is none or it is to be replaced.
    fn endpoint(&self, address: SocketAddr, replace: bool) -> Result<Endpoint, OpenError> {
        let mut slot = self.slot(address.is_ipv6());
        match &*slot {
            Some(endpoint) if !replace => Ok(endpoint.clone()),
            _ => {
                let endpoint = bind(address.is_ipv6()).map_err(|source| OpenError::Connect {
                    address: address.to_string(),
                    source,
                })?;
                Ok(slot.insert(endpoint).clone())
            }
        }
    }

    fn slot(&self, v6: bool) -> MutexGuard<'_, Option<Endpoint>> {
        let slot = if v6 { &self.v6 } else { &self.v4 };
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(v6: bool) -> io::Result<Endpoint> {
    Endpoint::client(if v6 {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    })
}
