use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::testing::{given, pem, text};
use super::*;
use crate::config::PemSource;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Carries out a handshake in memory; the certificate that the client was shown, which it found to be `name`'s.
fn handshake(
    certificates: &Certificates,
    trusted: &[u8],
    name: &str,
) -> Result<CertificateDer<'static>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec()))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(Arc::new(certificates.server_config(&[])))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut read = &wire[..];
        while !read.is_empty() {
            server.read_tls(&mut read).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut read = &wire[..];
        while !read.is_empty() {
            client.read_tls(&mut read).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(client.peer_certificates().unwrap()[0].clone().into_owned())
}

/// The certificate that is shown to who trusts it without looking.
fn shown(certificates: &Certificates) -> CertificateDer<'static> {
    let current = certificates.current();
    current.end_entity_cert().unwrap().clone().into_owned()
}

#[test]
fn a_generated_certificate_is_one_that_browsers_pin_and_is_renewed_in_time() {
    let now = SystemTime::now();
    let certificates = Certificates::generated().unwrap();
    assert!(certificates.is_generated());
    let left = certificates.valid_until().unwrap().duration_since(now).unwrap();
    assert!(left > 12 * DAY && left < 13 * DAY, "{left:?}");
    assert!(!certificates.wants_renewal(now + 10 * DAY));
    assert!(certificates.wants_renewal(now + 11 * DAY));
    let before = certificates.fingerprint();
    assert!(certificates.reload(now + 11 * DAY).unwrap());
    assert_ne!(certificates.fingerprint(), before);
    assert!(!certificates.wants_renewal(now + 20 * DAY));
}

#[test]
fn a_generated_certificate_is_this_machines() {
    let certificates = Certificates::generated().unwrap();
    let own = shown(&certificates);
    for name in ["localhost", "127.0.0.1", "::1"] {
        let seen = handshake(&certificates, &own, name).unwrap();
        assert_eq!(Fingerprint::of(&seen), certificates.fingerprint(), "{name}");
    }
    assert!(handshake(&certificates, &own, "example.com").is_err());
}

#[test]
fn a_certificate_comes_from_texts_or_files() {
    let (certificate, key) = pem();
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&certificate_file, &certificate).unwrap();
    std::fs::write(&key_file, &key).unwrap();
    let texts = Certificates::open(&given(text(&certificate), text(&key))).unwrap();
    let files = given(PemSource::File(certificate_file), PemSource::File(key_file));
    let files = Certificates::open(&files).unwrap();
    assert_eq!(texts.fingerprint(), files.fingerprint());
    assert!(!files.is_generated());
    assert!(!files.wants_renewal(SystemTime::now() + 10_000 * 365 * DAY));
    handshake(&files, &shown(&files), "localhost").unwrap();
}

#[test]
fn the_error_says_which_key_of_the_configuration_is_wrong_and_how() {
    let ((certificate, key), (_, other_key)) = (pem(), pem());
    let says = |certificate, key| {
        let error = Certificates::open(&given(certificate, key))
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    let nowhere = || PemSource::File("/nowhere/c.pem".into());
    assert_eq!(
        says(nowhere(), text(&key)),
        "http_server.tls.cert_pem: cannot read /nowhere/c.pem: No such file or directory (os error 2)"
    );
    assert_eq!(
        says(text(&key), text(&key)),
        "http_server.tls.cert_pem: there is no certificate in the text"
    );
    assert_eq!(
        says(text(&certificate), text(&certificate)),
        "http_server.tls.key_pem: there is no private key (one without a password) in the text"
    );
    assert_eq!(
        says(text(&certificate), text(&other_key)),
        "http_server.tls: the key in key_pem does not belong to the first certificate in cert_pem"
    );
    let cut = &certificate[..certificate.len() / 2];
    let error = says(text(cut), text(&key));
    assert!(
        error.starts_with("http_server.tls.cert_pem: the text is not PEM: "),
        "{error}"
    );
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = says(text(no_certificate), text(&key));
    assert!(
        error.starts_with("http_server.tls: certificate and key cannot be used: "),
        "{error}"
    );
}

#[test]
fn what_cannot_be_used_does_not_replace_what_is_in_use() {
    let ((certificate, key), (other_certificate, other_key)) = (pem(), pem());
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    let write = |certificate: &str, key: &str| {
        std::fs::write(&certificate_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
    };
    write(&certificate, &key);
    let source = given(
        PemSource::File(certificate_file.clone()),
        PemSource::File(key_file.clone()),
    );
    let certificates = Certificates::open(&source).unwrap();
    let (now, first) = (SystemTime::now(), certificates.fingerprint());
    write(&other_certificate, &key);
    assert!(certificates.reload(now).is_err());
    assert_eq!(certificates.fingerprint(), first);
    write(&other_certificate, &other_key);
    assert!(certificates.reload(now).unwrap());
    assert_ne!(certificates.fingerprint(), first);
    assert!(!certificates.reload(now).unwrap(), "it is the same again");
    handshake(&certificates, &shown(&certificates), "localhost").unwrap();
}
