//! Who does something, for the log.

use std::net::IpAddr;

use super::Admin;
use super::session::Session;

/// Somebody who has logged in, as the log names them.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// Which session it is.
    pub(super) session: String,
    /// Where the call came from: behind a proxy that is the proxy.
    pub(super) peer: IpAddr,
}

impl Admin {
    /// Whose session it is.
    pub(super) fn operator(&self, session: &Session, peer: IpAddr) -> Operator {
        Operator {
            session: self.sessions.name(session),
            peer,
        }
    }
}
