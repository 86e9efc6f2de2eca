//! Certificates for tests.

use rcgen::{CertificateParams, KeyPair};

use crate::config::{CertificateSource, PemSource};

/// A certificate for localhost and its key, in PEM.
pub(super) fn pem() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(super) fn given(certificate: PemSource, key: PemSource) -> CertificateSource {
    CertificateSource::Given {
        section: "http_server.tls",
        certificate,
        key,
    }
}

pub(super) fn text(text: &str) -> PemSource {
    PemSource::Text(text.to_owned())
}
