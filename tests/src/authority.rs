//! An authority of a test's own, that signs certificates and writes them into a folder.

use std::fs;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Signs certificates; its own is the file `ca.pem`.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    /// One that nobody trusts yet.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the tests");
        let key = KeyPair::generate()?;
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, dir })
    }

    /// The path of a file in its folder.
    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes a certificate for `subjects`, host names or IP addresses, as `NAME.crt`, and its key as `NAME.key`.
    pub fn issue(&self, name: &str, subjects: &[&str]) -> Result<()> {
        let key = KeyPair::generate()?;
        let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(subjects)?.signed_by(&key, &self.issuer)?;
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem())?;
        fs::write(self.file(&format!("{name}.crt")), certificate.pem())?;
        Ok(())
    }
}
