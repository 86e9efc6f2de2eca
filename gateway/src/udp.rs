//! The UDP port: one QUIC endpoint for native clients and for WebTransport.
//!
//! ```text
//! datagrams ─▶ quinn ─ incoming ─▶ door ─ handshake ─▶ dispatch ─┬─ campanile/1 ─▶ native
//!                                  │                             └─ h3 ──────────▶ webtransport
//!                                  └ refused, or asked for a proof of its address
//! ```
//!
//! * [`Socket`]: the port, bound and not served yet; [`UdpPort`]: served.
//! * `door`: how many may be about to begin, and what those above that are told.
//! * `dispatch`: which protocol a client speaks, and how long it may take to begin; `native`: ours, while the other is
//!   the business of [`connection::webtransport`](crate::connection::webtransport).
//! * `settings`: what quinn and rustls are told, and what a connection costs.
//! * `counters`: what is counted.

mod counters;
mod dispatch;
mod door;
mod native;
mod port;
mod settings;
mod socket;

#[cfg(test)]
mod tests;

pub use port::UdpPort;
pub use settings::{Patience, Settings};
pub use socket::{BindError, Socket};
