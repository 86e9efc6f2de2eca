//! Where certificates come from: validated.

use std::fmt;
use std::path::PathBuf;

/// Where a certificate and its key come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Made on the spot, for this machine, and renewed in time.
    Generated,
    /// Given by the operator.
    Given {
        /// The section of the configuration that gives them, such as `http_server.tls`.
        section: &'static str,
        /// The certificate, with those between it and its authority behind it.
        certificate: PemSource,
        /// The certificate's private key.
        key: PemSource,
    },
}

/// Where PEM comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// From a file, which is looked at again and again.
    File(PathBuf),
    /// From the configuration itself.
    Text(String),
}

/// Shows no text: it may be a key.
impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{path:?}"),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}
