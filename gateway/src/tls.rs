//! TLS: the certificates of this gateway, for the TCP ports and for QUIC alike.
//!
//! * [`Certificates`]: the certificate and key in use. They can be replaced while connections are open; a handshake takes
//!   what is there when it begins.
//! * [`Fingerprint`]: what a client pins where no authority vouches.
//! * `identity`: a certificate chain with its key, checked; `load`: where it comes from; `generated`: one made on the spot.
//! * `validity`: until when a certificate is valid.
//! * [`PortCertificates`]: which port has which; [`Keeper`]: keeps them up to date.
//! * [`Acceptor`]: handshakes on TCP; `metrics`: what is counted.
//!
//! All cryptography is *ring*'s, named explicitly wherever rustls asks, so that no other part of the process can change it.

mod acceptor;
mod certificates;
mod fingerprint;
mod generated;
mod identity;
mod keeper;
mod load;
mod metrics;
mod ports;
mod validity;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, TlsStream};
pub use certificates::Certificates;
pub use fingerprint::Fingerprint;
pub use keeper::Keeper;
pub use load::{LoadError, PemError, fingerprint_of_file};
pub use metrics::{Handshakes, Outcome};
pub use ports::{Acceptors, PortCertificates};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one provider of cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
