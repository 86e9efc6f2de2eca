//! Which servers a command believes, where it speaks TLS.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use campanile_client::{CertificateHash, TlsOptions};
use clap::Args;

/// Which servers to believe; unless told otherwise those with certificates of Mozilla's authorities.
#[derive(Debug, Args)]
pub(super) struct TrustArguments {
    /// Believe servers with certificates from the authorities in this PEM file, and no others
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "cert_hash")]
    pub(super) ca: Option<PathBuf>,
    /// Believe the server with the certificate of this SHA-256, and no other
    #[arg(long, global = true, value_name = "SHA-256")]
    pub(super) cert_hash: Vec<CertificateHash>,
}

impl TrustArguments {
    /// The same for whoever connects; or why not.
    pub(super) fn options(&self) -> Result<TlsOptions, String> {
        let mut tls = TlsOptions::default();
        if let Some(file) = &self.ca {
            let failed = |error: String| format!("--ca: {}: {error}", file.display());
            let pem = fs::read(file).map_err(|error| failed(error.to_string()))?;
            tls = tls.authority(&pem).map_err(|error| failed(chain(&error)))?;
        }
        let pinned = self.cert_hash.iter().copied();
        Ok(pinned.fold(tls, TlsOptions::certificate))
    }
}

/// An error with its reasons.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
