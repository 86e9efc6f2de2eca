//! Sockets that listen, and those who connect to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reception::{Newcomer, Reception, Served, Service};
use super::waiting_room::{ROOM, waiting_room};
use crate::turnstile::Turnstile;

/// How long no connection is accepted after the system has refused one, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that the system may have waiting to be accepted. Those for which it has no room try again after a second. The
/// system's own limit (`net.core.somaxconn`) applies too.
const BACKLOG: u32 = 65_535;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// A socket that listens and is not served yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: TcpListener,
    address: SocketAddr,
}

/// Listens on `address`.
pub async fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A gateway that is started again need not wait for what is left of its former connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    };
    listen().map_err(|source| BindError { address, source })
}

impl Bound {
    /// The address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then requests under way are answered, and those of peers that have
    /// connected before. Connections are tasks of `tasks`. Upgraded ones are no longer HTTP and are left alone.
    pub async fn serve(self, service: Service, stop: CancellationToken, tasks: TaskTracker) {
        let served = Arc::new(Served { service, stop, tasks });
        let (door, waiting) = waiting_room(ROOM);
        let reception = Reception::new(Arc::clone(&served), door);
        let turnstile = Turnstile::new();
        tokio::join!(
            accept(self.listener, reception, &served.stop),
            waiting.serve(&turnstile, |newcomer| served.begin(newcomer)),
        );
    }
}

/// Receives those who connect, until `stop`; at the end also those whom the system has queued until then.
pub(super) async fn accept(listener: TcpListener, reception: Reception, stop: &CancellationToken) {
    describe_counter!(
        "campanile_http_accept_errors_total",
        "Connections that the system refused to accept"
    );
    let errors = counter!("campanile_http_accept_errors_total");
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => reception.receive(Newcomer { stream, peer }),
            Err(error) => pause(&error, &errors).await,
        }
    }
    for newcomer in last(listener) {
        reception.receive(newcomer);
    }
}

/// Those who have connected and were not accepted yet. Nobody connects any more once this is dropped.
fn last(listener: TcpListener) -> impl Iterator<Item = Newcomer> {
    let listener = listener.into_std().ok();
    let next = move || {
        let (stream, peer) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let stream = TcpStream::from_std(stream).ok()?;
        Some(Newcomer { stream, peer })
    };
    std::iter::from_fn(next).take(BACKLOG as usize)
}

async fn pause(error: &io::Error, errors: &Counter) {
    tracing::warn!(%error, "cannot accept a connection");
    errors.increment(1);
    sleep(ACCEPT_PAUSE).await;
}
