//! What is trusted. Handshakes are in the tests of the transports.

use super::*;

#[test]
fn a_hash_is_read_as_it_is_printed_anywhere() {
    // FIPS 180-2, appendix B.1.
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hash = CertificateHash::of(b"abc");
    assert_eq!(hash.to_string(), hex);
    let colons: Vec<_> = (0..32).map(|at| hex[2 * at..2 * at + 2].to_uppercase()).collect();
    for text in [
        hex,
        &colons.join(":"),
        "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    ] {
        assert_eq!(text.parse(), Ok(hash), "{text}");
    }
    for text in ["", "ba78", &hex[1..], "grün", "ungWv48Bz+pBQUDeXa4="] {
        assert_eq!(text.parse::<CertificateHash>(), Err(NotAHash), "{text}");
    }
}

#[test]
fn authorities_must_be_certificates() {
    let authority = |pem: &str| TlsOptions::default().authority(pem.as_bytes());
    assert!(matches!(authority("nothing"), Err(AuthorityError::Pem(_))));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(authority(broken), Err(AuthorityError::Certificate(_))));
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let options = authority(&key.cert.pem()).unwrap();
    assert!(matches!(options.trust, Trust::Authorities(roots) if roots.len() == 1));
}
