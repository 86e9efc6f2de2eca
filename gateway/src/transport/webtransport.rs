//! WebTransport over HTTP/3 (draft-ietf-webtrans-http3), the server's side: as much of HTTP/3 as one session needs.
//!
//! A client opens a QUIC connection, exchanges settings, asks with an extended CONNECT for a session, and opens one
//! bidirectional stream in it; the messages of the protocol go over that stream alone. Nothing else is served: a
//! session is one client's connection, as long as it lasts, and the QUIC connection is the session's.
//!
//! The bytes of HTTP/3 are `web-transport-proto`'s; the streams are quinn's own. A library's session would keep a
//! task, the request and its URL for each connection, and accept streams that nobody wants.
//!
//! * [`SessionRequest`]: settings and the request, to be answered.
//! * `session`: what lasts as long as the client's connection, and how it ends.
//! * [`WebTransport`]: session and stream as a [`Transport`](super::Transport).

mod request;
mod session;
mod socket;

pub use request::{RequestError, SessionRequest};
pub use socket::WebTransport;

use quinn::VarInt;

/// Why a QUIC connection that carries HTTP/3 is closed (RFC 9114 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorCode {
    /// Nothing is wrong.
    None = 0x100,
    /// The client broke the rules of HTTP/3.
    Protocol = 0x101,
    /// The client did not send what it had to in time.
    Incomplete = 0x10d,
}

/// Gives up a client that did not do its next step in time.
pub fn abandon(connection: &quinn::Connection) {
    close(connection, ErrorCode::Incomplete, "too late");
}

/// Closes the QUIC connection below a session, or below what was to become one.
fn close(connection: &quinn::Connection, code: ErrorCode, reason: &str) {
    connection.close(VarInt::from_u32(code as u32), reason.as_bytes());
}
