//! A certificate for trying things out, which vouches for itself.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::host_name::host_name;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// From its first to its last second. Browsers pin a certificate by its hash only if it is valid for less than 14 days
/// and its key is on an elliptic curve.
pub(super) const VALIDITY: Duration = DAY.saturating_mul(13);

/// It begins to be valid this long before it is made, for clients whose clock is behind.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// How long before its end another one takes its place.
pub(super) const RENEW_BEFORE: Duration = DAY.saturating_mul(2);

/// A certificate for this machine by its names and its loopback addresses, and the key.
pub(super) fn generate(
    now: SystemTime,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let begin = now - SKEW;
    let mut params = CertificateParams::new(names())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Campanile, generated");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = begin.into();
    params.not_after = (begin + VALIDITY).into();
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it was just made, as PKCS #8");
    Ok((certificate.der().clone(), key))
}

fn names() -> Vec<String> {
    let host = host_name().filter(|name| is_dns_name(name) && name != "localhost");
    let fixed = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    fixed.into_iter().chain(host).collect()
}

/// Whether a certificate can be made out to it; machines are called all sorts of things.
fn is_dns_name(name: &str) -> bool {
    rustls::pki_types::DnsName::try_from(name).is_ok()
}
