//! The listening sockets: the clients' for TCP and, if there are any, the internal one and that of QUIC.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{HttpOptions, QuicOptions};
use crate::http::{Bound, Service, bind};
use crate::tls::Acceptors;
use crate::udp;

/// Attempts to find a number that is free for TCP and for UDP, where any will do.
const ATTEMPTS: usize = 16;

/// An address of the configuration cannot be listened on. Says in one line which key is about it, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct AddressError(String);

impl AddressError {
    /// What kept the address from being used whose keys begin with `section`.
    fn of(section: &str, error: &(dyn Error + 'static)) -> Self {
        let source = error.source();
        let kind = source
            .and_then(|it| it.downcast_ref::<io::Error>())
            .map(io::Error::kind);
        let (key, advice) = match kind {
            Some(io::ErrorKind::AddrInUse) => (
                "port",
                "; another process has that port: end it, or write another one",
            ),
            Some(io::ErrorKind::AddrNotAvailable) => ("address", "; write one that this machine has"),
            Some(io::ErrorKind::PermissionDenied) => (
                "port",
                "; write one above 1023, or give the process the right to it",
            ),
            _ => ("address", ""),
        };
        let why = source.map(|source| format!(": {source}")).unwrap_or_default();
        Self(format!("{section}{key}: {error}{why}{advice}"))
    }
}

/// Sockets that listen and are not served yet.
#[derive(Debug)]
pub(super) struct Sockets {
    public: Bound,
    internal: Option<Bound>,
    udp: Option<udp::Socket>,
}

/// Sockets that are served.
#[derive(Debug)]
pub(super) struct Serving {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sockets {
    pub(super) async fn bind(
        options: &HttpOptions,
        quic: Option<&QuicOptions>,
    ) -> Result<Self, AddressError> {
        let (public, udp) = clients(options.public, quic.map(|quic| quic.address)).await?;
        let internal = match options.internal {
            Some(address) => {
                let bound = bind(address).await;
                Some(bound.map_err(|error| AddressError::of("http_server.internal_", &error))?)
            }
            None => None,
        };
        Ok(Self {
            public,
            internal,
            udp,
        })
    }

    /// Where clients connect to.
    pub(super) fn public(&self) -> SocketAddr {
        self.public.address()
    }

    /// Where API, metrics and readiness are, if they are not at the public address.
    pub(super) fn internal(&self) -> Option<SocketAddr> {
        self.internal.as_ref().map(Bound::address)
    }

    /// Where QUIC is spoken.
    pub(super) fn udp(&self) -> Option<SocketAddr> {
        self.udp.as_ref().map(udp::Socket::address)
    }

    /// The socket of QUIC, which is served by others.
    pub(super) fn take_udp(&mut self) -> Option<udp::Socket> {
        self.udp.take()
    }

    /// Serves the public and the internal router. Clients connect at the path `clients` of the public one.
    pub(super) fn serve(
        self,
        (public, internal): (Router, Option<Router>),
        tls: Acceptors,
        clients: Option<String>,
    ) -> Serving {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serve = |socket: Bound, router, tls, clients| {
            let service = Service { router, tls, clients };
            socket.serve(service, stop.clone(), tasks.clone())
        };
        tasks.spawn(serve(self.public, public, tls.public, clients));
        if let Some((socket, router)) = self.internal.zip(internal) {
            tasks.spawn(serve(socket, router, tls.internal, None));
        }
        Serving { stop, tasks }
    }
}

/// The sockets of clients. A UDP port of 0 stands for the number of the TCP port.
async fn clients(
    tcp: SocketAddr,
    udp: Option<SocketAddr>,
) -> Result<(Bound, Option<udp::Socket>), AddressError> {
    let mut attempt = 1;
    loop {
        let public = bind(tcp).await;
        let public = public.map_err(|error| AddressError::of("http_server.", &error))?;
        let Some(mut address) = udp else {
            return Ok((public, None));
        };
        let any_will_do = tcp.port() == 0 && address.port() == 0;
        if address.port() == 0 {
            address.set_port(public.address().port());
        }
        match udp::Socket::bind(address) {
            Ok(socket) => return Ok((public, Some(socket))),
            Err(error) if any_will_do && error.is_taken() && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(AddressError::of("quic.", &error)),
        }
    }
}

impl Serving {
    /// Accepts no more connections, and waits until requests under way are answered.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
