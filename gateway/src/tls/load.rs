//! From where a certificate is configured to the certificate.

use std::borrow::Cow;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::fingerprint::Fingerprint;
use super::generated::generate;
use super::identity::Identity;
use crate::config::{CertificateSource, PemSource};

/// A certificate cannot be used. Says in one line which key of the configuration is about it, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// None could be made.
    #[error("a certificate cannot be generated: {0}")]
    Generate(#[from] rcgen::Error),
    /// What the certificate is in is of no use.
    #[error("{0}.cert_pem: {1}")]
    Certificate(&'static str, PemError),
    /// What the key is in is of no use.
    #[error("{0}.key_pem: {1}")]
    Key(&'static str, PemError),
    /// The two do not belong together.
    #[error("{0}: the key in key_pem does not belong to the first certificate in cert_pem")]
    Mismatch(&'static str),
    /// They are of no use for TLS.
    #[error("{0}: certificate and key cannot be used: {1}")]
    Unusable(&'static str, rustls::Error),
}

/// PEM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// Its file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, io::Error),
    /// It is not PEM.
    #[error("{0} is not PEM: {1}")]
    Malformed(String, pem::Error),
    /// What is looked for is not in it.
    #[error("there is no {1} in {0}")]
    Missing(String, &'static str),
}

/// Reads or makes what `source` describes.
pub(super) fn load(source: &CertificateSource, now: SystemTime) -> Result<Identity, LoadError> {
    match source {
        CertificateSource::Generated => {
            let (certificate, key) = generate(now)?;
            Identity::new(vec![certificate], key).map_err(|error| LoadError::Unusable("generated", error))
        }
        CertificateSource::Given {
            section,
            certificate,
            key,
        } => {
            let chain = chain(certificate).map_err(|error| LoadError::Certificate(section, error))?;
            let key = private_key(key).map_err(|error| LoadError::Key(section, error))?;
            Identity::new(chain, key).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => LoadError::Mismatch(section),
                error => LoadError::Unusable(section, error),
            })
        }
    }
}

/// The fingerprint of the first certificate in the PEM file at `path`.
///
/// # Errors
///
/// If there is none.
pub fn fingerprint_of_file(path: &Path) -> Result<Fingerprint, PemError> {
    let chain = chain(&PemSource::File(path.to_owned()))?;
    Ok(Fingerprint::of(&chain[0]))
}

/// At least one certificate.
fn chain(source: &PemSource) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let pem = source.read()?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| PemError::Malformed(source.place(), error))?;
    if chain.is_empty() {
        return Err(PemError::Missing(source.place(), "certificate"));
    }
    Ok(chain)
}

fn private_key(source: &PemSource) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(&source.read()?).map_err(|error| match error {
        pem::Error::NoItemsFound => PemError::Missing(source.place(), "private key (one without a password)"),
        error => PemError::Malformed(source.place(), error),
    })
}

impl PemSource {
    fn read(&self) -> Result<Cow<'_, [u8]>, PemError> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Self::File(path) => match fs::read(path) {
                Ok(pem) => Ok(Cow::Owned(pem)),
                Err(error) => Err(PemError::Unreadable(self.place(), error)),
            },
        }
    }

    /// Where it is, in words.
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the text".to_owned(),
        }
    }
}
