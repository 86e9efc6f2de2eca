//! How clients come in, whatever they come over.

use std::sync::Arc;

use campanile_common::Codec;

use super::counters::Refused;
use super::host::Host;
use super::shutdown::goodbye;
use super::{Connection, drive};
use crate::live::Live;
use crate::registry::{Permit, Refusal};
use crate::transport::origin::AllowedOrigins;
use crate::transport::{Transport, TransportKind};

/// The one way in. Each transport asks it in this order: may this page connect, is there a place, begin.
#[derive(Clone)]
pub struct Entrance {
    host: Arc<Host>,
    origins: Live<AllowedOrigins>,
}

/// The page's origin is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("origin not allowed")]
pub struct ForeignOrigin;

impl Entrance {
    /// The way to the connections of `host`.
    #[must_use]
    pub fn new(host: Arc<Host>, origins: impl Into<Live<AllowedOrigins>>) -> Self {
        let origins = origins.into();
        Self { host, origins }
    }

    /// The host of those who come in.
    #[must_use]
    pub const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Whether a page from `origin` may connect to `host`; both as the headers of its request say.
    pub fn check_origin(&self, origin: Option<&str>, host: Option<&str>) -> Result<(), ForeignOrigin> {
        if self.origins.look().allow(origin, host) {
            return Ok(());
        }
        tracing::debug!(origin, "origin refused");
        self.refused(Refused::Origin);
        Err(ForeignOrigin)
    }

    /// A place for one more connection.
    pub fn admit(&self) -> Result<Permit, Refusal> {
        let place = self.host.admission.admit(self.host.clock.now());
        place.inspect_err(|refusal| self.refused(Refused::Admission(*refusal)))
    }

    /// Counts a client that is not let in.
    pub fn refused(&self, refused: Refused) {
        self.host.counters.refused(refused);
    }

    /// Opens a connection on a transport, and leaves it to a task of its own.
    pub fn begin<T: Transport>(&self, kind: TransportKind, codec: Codec, transport: T, place: Permit) {
        let connection = Connection::open_taking(Arc::clone(&self.host), kind, codec, transport.takes());
        if self.host.admission.is_closed() {
            // It came in just before the door closed, and may have been missed by the goodbyes.
            goodbye(&connection);
        }
        tokio::spawn(drive(connection, transport, place));
    }
}
