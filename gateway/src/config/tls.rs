//! Where the ports' certificates come from: validated. Nothing is read here; a file may be another one tomorrow.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::raw::{Raw, Tls};
use super::report::Report;

/// Which port speaks TLS, with which certificate.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The certificate that clients see, over TCP and over QUIC; `None`: neither needs one, or there is none.
    pub certificate: Option<CertificateSource>,
    /// Whether the clients' TCP port speaks TLS with it.
    pub public: bool,
    /// What the internal port does.
    pub internal: InternalTls,
}

/// What the internal port does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InternalTls {
    /// It speaks plain HTTP.
    Off,
    /// It speaks TLS with the clients' certificate.
    Shared,
    /// It speaks TLS with a certificate of its own.
    Own(CertificateSource),
}

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

/// What PEM has at its beginning, and neither base64 nor any sensible path.
const BEGIN: &str = "-----BEGIN ";

/// In bytes. The shortest private keys have some 160 in base64.
const LONGEST_PLAIN_PATH: usize = 100;

impl PemSource {
    /// PEM, PEM in base64, or a path.
    #[must_use]
    pub fn of_value(value: &str) -> Self {
        if value.contains(BEGIN) {
            return Self::Text(value.to_owned());
        }
        let packed: String = value.split_whitespace().collect();
        let decoded = STANDARD.decode(packed).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.filter(|text| text.contains(BEGIN)) {
            Some(text) => Self::Text(text),
            // It holds neither a certificate nor a key, but part of one perhaps, and a path is shown where it leads nowhere.
            None if is_packed(value) => Self::Text(value.to_owned()),
            None => Self::File(value.into()),
        }
    }
}

/// Whether it looks like base64 of as much as a key: no path is so long without a dot, a hyphen or an underscore.
fn is_packed(value: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/= \r\n".contains(&byte);
    value.len() > LONGEST_PLAIN_PATH && value.bytes().all(is_base64)
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

/// Which port speaks TLS. The clients' certificate is made up where that is wanted and none is given.
pub(super) fn tls(raw: &Raw, report: &mut Report) -> TlsOptions {
    let server = &raw.http_server;
    let generated = (raw.quic.generated_certificate).then_some(CertificateSource::Generated);
    let certificate = source("http_server.tls", &server.tls, report).or(generated);
    let is_used = server.tls.enabled || raw.quic.enabled;
    if server.tls.enabled && certificate.is_none() && is_unset(&server.tls) {
        report.error(missing("http_server.tls"));
    }
    let own = source("http_server.internal_tls", &server.internal_tls, report);
    let internal = match own {
        Some(own) if server.internal_tls.enabled => InternalTls::Own(own),
        _ if server.internal_tls.enabled => {
            if is_unset(&server.internal_tls) {
                report.error(missing("http_server.internal_tls"));
            }
            InternalTls::Off
        }
        _ if server.tls.enabled && !server.tls_external => InternalTls::Shared,
        _ => InternalTls::Off,
    };
    TlsOptions {
        certificate: certificate.filter(|_| is_used),
        public: server.tls.enabled,
        internal,
    }
}

fn source(section: &'static str, tls: &Tls, report: &mut Report) -> Option<CertificateSource> {
    let other = match (tls.cert_pem.is_empty(), tls.key_pem.is_empty()) {
        (true, true) => return None,
        (true, false) => "cert_pem",
        (false, true) => "key_pem",
        (false, false) => {
            return Some(CertificateSource::Given {
                section,
                certificate: PemSource::of_value(&tls.cert_pem),
                key: PemSource::of_value(&tls.key_pem),
            });
        }
    };
    report.error(format!(
        "{section}.{other}: not set; a certificate needs both cert_pem and key_pem"
    ));
    None
}

fn is_unset(tls: &Tls) -> bool {
    tls.cert_pem.is_empty() && tls.key_pem.is_empty()
}

fn missing(section: &str) -> String {
    format!(
        "{section}.cert_pem: not set; TLS needs a certificate: write the path of a PEM file here, and its key's in key_pem"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_a_path_a_text_or_base64() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let of_text = PemSource::Text(text.to_owned());
        assert_eq!(PemSource::of_value(text), of_text);
        let packed = STANDARD.encode(text);
        assert_eq!(PemSource::of_value(&packed), of_text);
        let (first, second) = packed.split_at(30);
        assert_eq!(PemSource::of_value(&format!("{first}\n {second}\n")), of_text);
        for path in ["/etc/tls/tls.crt", "cert", "YWJj"] {
            assert_eq!(PemSource::of_value(path), PemSource::File(path.into()));
        }
        assert_eq!(format!("{of_text:?}"), "Text(…)");
    }

    #[test]
    fn a_key_that_was_cut_off_is_not_taken_for_a_path() {
        let key = STANDARD.encode(format!("-----BEGIN PRIVATE KEY-----\n{}", "MIGH".repeat(40)));
        // In the middle of a group of four, which is no base64.
        for cut in [&key[..key.len() - 2], &key[4..]] {
            assert_eq!(PemSource::of_value(cut), PemSource::Text(cut.to_owned()));
        }
        let path = format!("/etc/{}/tls.key", "deep/".repeat(30));
        assert_eq!(PemSource::of_value(&path), PemSource::File(path.clone().into()));
    }
}
