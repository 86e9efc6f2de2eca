//! A certificate chain and its key, checked to belong together.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::fingerprint::Fingerprint;
use super::provider;
use super::validity::{Validity, validity};

/// What a server shows in a handshake, and what is known of it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// That of the first certificate.
    pub(super) fingerprint: Fingerprint,
    /// When the first certificate is valid; `None`: it does not say so in a form that is understood.
    pub(super) validity: Option<Validity>,
}

impl Identity {
    /// Joins the two.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let provider: &CryptoProvider = &provider();
        let key = CertifiedKey::from_der(chain, key, provider)?;
        let leaf = key.end_entity_cert()?;
        Ok(Self {
            fingerprint: Fingerprint::of(leaf),
            validity: validity(leaf),
            key: Arc::new(key),
        })
    }
}
