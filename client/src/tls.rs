//! Whom a client believes to be the server.

mod hash;
mod pinned;

pub use hash::{CertificateHash, NotAHash};

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};

use pinned::PinnedCertificates;

/// Which servers a client takes for the right ones, on every transport with TLS.
///
/// Unless told otherwise: those whose certificate names the host and comes from one of the authorities that Mozilla's
/// browsers trust.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    trust: Trust,
    resumption: bool,
}

#[derive(Clone, Debug)]
enum Trust {
    /// Mozilla's authorities.
    Public,
    /// These authorities.
    Authorities(RootCertStore),
    /// These certificates.
    Certificates(Vec<CertificateHash>),
}

/// A certificate of an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is no PEM in it, or it is malformed.
    #[error("not a certificate in PEM: {0}")]
    Pem(String),
    /// There is a certificate, but not one of an authority.
    #[error("not the certificate of an authority")]
    Certificate(#[source] rustls::Error),
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            trust: Trust::Public,
            resumption: true,
        }
    }
}

impl TlsOptions {
    /// To believe servers whose certificate comes from one of the authorities in `pem`, and no others. Another call adds
    /// to them.
    pub fn authority(mut self, pem: &[u8]) -> Result<Self, AuthorityError> {
        let mut roots = match self.trust {
            Trust::Authorities(roots) => roots,
            Trust::Public | Trust::Certificates(_) => RootCertStore::empty(),
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| AuthorityError::Pem(error.to_string()))?;
            roots.add(certificate).map_err(AuthorityError::Certificate)?;
        }
        if roots.len() == before {
            return Err(AuthorityError::Pem("no certificate in it".into()));
        }
        self.trust = Trust::Authorities(roots);
        Ok(self)
    }

    /// To believe the server that shows the certificate with this hash, whatever it says of names, times and issuers, and
    /// no others: for development, where a gateway makes a certificate for itself and prints its hash. Another call adds
    /// one.
    #[must_use]
    pub fn certificate(mut self, hash: CertificateHash) -> Self {
        match &mut self.trust {
            Trust::Certificates(hashes) => hashes.push(hash),
            trust => *trust = Trust::Certificates(vec![hash]),
        }
        self
    }

    /// Whether a connection may take up the session of an earlier one of the same dialer, which saves the server most of a
    /// handshake over TCP; it may unless told otherwise. Over QUIC it always may.
    #[must_use]
    pub const fn resumption(mut self, allowed: bool) -> Self {
        self.resumption = allowed;
        self
    }

    /// For TLS over TCP, below HTTP/1.1: also for whoever calls the server API of a server that the client believes.
    #[must_use]
    pub fn tcp(&self) -> ClientConfig {
        let mut config = self.config(&[&TLS13, &TLS12]);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        config
    }

    /// For QUIC, below the protocol that `alpn` names; with a memory of sessions, for early data.
    pub(crate) fn quic(&self, alpn: &[u8]) -> ClientConfig {
        let mut config = self.config(&[&TLS13]);
        config.alpn_protocols = vec![alpn.to_vec()];
        config.enable_early_data = true;
        config
    }

    fn config(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        // Named, because a process with two providers has no default.
        let provider: Arc<CryptoProvider> = ring::default_provider().into();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("ring has suites for TLS 1.2 and 1.3");
        let builder = match &self.trust {
            Trust::Public => builder.with_root_certificates(public_authorities()),
            Trust::Authorities(roots) => builder.with_root_certificates(roots.clone()),
            Trust::Certificates(hashes) => {
                let verifier = PinnedCertificates::new(hashes.clone(), &provider);
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        builder.with_no_client_auth()
    }
}

fn public_authorities() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

#[cfg(test)]
mod tests;
