//! What becomes of those who have connected.
//!
//! Clients may come by the thousand and are served one after another ([`waiting_room`](super::waiting_room)). Whoever asks for
//! anything else does not wait behind them: a probe that is not answered in time ends a gateway that is well. So newcomers are
//! looked at before anything is spent on them. Over TLS nobody can tell what they want before the handshake, which costs as
//! much as a connection: where clients come that way, everybody waits in turn.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{connection, secured, silent_too_long};
use super::look::{Wants, look};
use super::waiting_room::Door;
use crate::tls::Acceptor;

/// What is served on a socket.
#[derive(Clone, Debug)]
pub struct Service {
    /// What is answered.
    pub router: Router,
    /// What speaks TLS; `None`: it is not spoken.
    pub tls: Option<Acceptor>,
    /// The path at which clients connect; `None`: they do not come here.
    pub clients: Option<String>,
}

/// Who has connected.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// A service on a socket, until it is told to end.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) service: Service,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Served {
    /// Serves a newcomer, as a task of its own.
    pub(super) fn begin(&self, Newcomer { stream, peer }: Newcomer) {
        let Service { router, tls, .. } = &self.service;
        let (router, stop) = (router.clone(), self.stop.clone());
        match tls.clone() {
            Some(tls) => self.tasks.spawn(secured(stream, tls, peer, router, stop)),
            None => self.tasks.spawn(connection(stream, peer, router, stop)),
        };
    }
}

/// Where newcomers go first.
#[derive(Debug)]
pub(super) struct Reception {
    served: Arc<Served>,
    door: Arc<Door<Newcomer>>,
}

impl Reception {
    /// Those who have to wait do so behind `door`.
    pub(super) fn new(served: Arc<Served>, door: Door<Newcomer>) -> Self {
        let door = Arc::new(door);
        Self { served, door }
    }

    /// Sees to it that a newcomer is served: at once, or in turn.
    pub(super) fn receive(&self, newcomer: Newcomer) {
        let Service { tls, clients, .. } = &self.served.service;
        match clients {
            None => self.served.begin(newcomer),
            Some(_) if tls.is_some() => self.door.enter(newcomer),
            Some(_) => {
                let (served, door) = (Arc::clone(&self.served), Arc::clone(&self.door));
                self.served.tasks.spawn(sort(served, door, newcomer));
            }
        }
    }
}

/// Waits for the first bytes of a newcomer, and does what they ask for. Nobody waits longer for them than for the head of a request.
async fn sort(served: Arc<Served>, door: Arc<Door<Newcomer>>, newcomer: Newcomer) {
    let clients = served.service.clients.as_deref().unwrap_or_default();
    let wants = tokio::select! {
        wants = look(&newcomer.stream, clients) => wants,
        () = silent_too_long(&served.stop) => return,
    };
    match wants {
        Ok(Some(Wants::Answer)) => served.begin(newcomer),
        Ok(Some(Wants::Connection)) => door.enter(newcomer),
        // It has left.
        Ok(None) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
