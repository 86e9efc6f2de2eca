//! The certificate in use.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::fingerprint::Fingerprint;
use super::generated::RENEW_BEFORE;
use super::identity::Identity;
use super::load::{LoadError, load};
use super::provider;
use super::validity::Validity;
use crate::config::{CertificateSource, PemSource};

/// A certificate and its key, which may be replaced while the gateway runs: open connections keep theirs, and each
/// handshake takes what is there when it begins. Clones share it.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    source: CertificateSource,
    current: ArcSwap<Identity>,
}

impl Certificates {
    /// One made on the spot for this machine.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn generated() -> Result<Self, LoadError> {
        Self::open(&CertificateSource::Generated)
    }

    /// That of `source`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or cannot be used.
    pub fn open(source: &CertificateSource) -> Result<Self, LoadError> {
        let identity = load(source, SystemTime::now())?;
        Ok(Self(Arc::new(Inner {
            source: source.clone(),
            current: ArcSwap::from_pointee(identity),
        })))
    }

    /// The fingerprint of the certificate now in use.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.current.load().fingerprint
    }

    /// When the certificate now in use ends to be valid, if it says so in a form that is understood.
    #[must_use]
    pub fn valid_until(&self) -> Option<SystemTime> {
        self.validity().map(|validity| validity.until)
    }

    /// When it is valid, from the first second to the last.
    pub(super) fn validity(&self) -> Option<Validity> {
        self.0.current.load().validity
    }

    /// Whether it was made on the spot, so that no authority vouches for it.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.0.source == CertificateSource::Generated
    }

    /// The files that it and its key are read from.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let parts = match &self.0.source {
            CertificateSource::Generated => None,
            CertificateSource::Given { certificate, key, .. } => Some([certificate, key]),
        };
        let files = parts.into_iter().flatten().filter_map(|part| match part {
            PemSource::File(path) => Some(path.clone()),
            PemSource::Text(_) => None,
        });
        files.collect()
    }

    /// What handshakes that begin now are given.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.current.load().key)
    }

    /// What a server needs that shows this certificate: TLS 1.2 and 1.3, no certificates of clients, and tickets that are
    /// used once and live in this process.
    #[must_use]
    pub fn server_config(&self, alpn: &[&[u8]]) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }

    /// Reads what it came from again and goes by that from now on; true: that is another one.
    ///
    /// # Errors
    ///
    /// If it cannot be used; then nothing changes.
    pub(super) fn reload(&self, now: SystemTime) -> Result<bool, LoadError> {
        let identity = load(&self.0.source, now)?;
        let is_another = identity.fingerprint != self.fingerprint();
        self.0.current.store(Arc::new(identity));
        Ok(is_another)
    }

    /// Whether it was made on the spot and will soon be over.
    pub(super) fn wants_renewal(&self, now: SystemTime) -> bool {
        let until = self.valid_until();
        self.is_generated() && until.is_none_or(|until| now + RENEW_BEFORE >= until)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.fingerprint())
    }
}
