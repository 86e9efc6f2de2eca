//! Keeps certificates up to date: those in files when the files change, generated ones before they are over.

use std::time::SystemTime;

use super::certificates::Certificates;
use super::metrics::CertificateMeters;
use crate::lookout::Lookout;
use crate::watched_file::{Look, WatchedFile};

/// Keeps certificates up to date.
#[derive(Debug)]
pub struct Keeper(Vec<Kept>);

/// One certificate that is kept up to date.
#[derive(Debug)]
struct Kept {
    /// Whose it is, in words.
    port: &'static str,
    certificates: Certificates,
    /// Its files, and its key's.
    files: Vec<WatchedFile>,
    /// Whether a file has changed since the last attempt to take it over.
    has_changed: bool,
    /// What keeps what was last found from being used.
    problem: Option<String>,
    meters: CertificateMeters,
}

impl Keeper {
    pub(super) fn new(
        certificates: impl Iterator<Item = (&'static str, Certificates)>,
        now: SystemTime,
    ) -> Self {
        let kept = certificates.map(|(port, certificates)| Kept::new(port, certificates, now));
        Self(kept.collect())
    }

    fn look_at(&mut self, insist: bool, now: SystemTime) {
        for kept in &mut self.0 {
            kept.look(insist, now);
        }
    }
}

impl Lookout for Keeper {
    const GIVEN_UP: &'static str = "certificates are not kept up to date any more";

    fn look(&mut self, insist: bool) {
        self.look_at(insist, SystemTime::now());
    }
}

impl Kept {
    fn new(port: &'static str, certificates: Certificates, now: SystemTime) -> Self {
        let files = certificates.files().into_iter().map(WatchedFile::new).collect();
        let this = Self {
            port,
            certificates,
            files,
            has_changed: false,
            problem: None,
            meters: CertificateMeters::register(port),
        };
        this.tell_validity(now);
        this
    }

    fn look(&mut self, insist: bool, now: SystemTime) {
        if self.certificates.wants_renewal(now) {
            return self.reload(now);
        }
        // The two files are seldom replaced in one moment: nothing is tried while one is being written.
        let mut is_settled = true;
        for file in &mut self.files {
            match if insist { file.insist() } else { file.look() } {
                Ok(Look::Changed) => self.has_changed = true,
                Ok(Look::Unsettled) => is_settled = false,
                Ok(Look::Same) => {}
                Err(error) => {
                    // Once it can be read again, what is in it counts as new.
                    file.forget();
                    let problem = format!("cannot read {}: {error}", file.path().display());
                    return self.refuse(problem);
                }
            }
        }
        let insists = insist && !self.files.is_empty();
        if is_settled && (self.has_changed || insists) {
            self.has_changed = false;
            self.reload(now);
        }
    }

    fn reload(&mut self, now: SystemTime) {
        match self.certificates.reload(now) {
            Ok(true) => {
                self.problem = None;
                self.meters.replaced();
                let fingerprint = self.certificates.fingerprint();
                tracing::info!(port = self.port, %fingerprint, "another certificate is in use");
                self.tell_validity(now);
            }
            Ok(false) => {
                if self.problem.take().is_some() {
                    tracing::info!(port = self.port, "the certificate in use can be read again");
                }
            }
            Err(error) => return self.refuse(error.to_string()),
        }
        self.meters.is_refused(false);
    }

    fn refuse(&mut self, problem: String) {
        self.meters.is_refused(true);
        if self.problem.as_ref() != Some(&problem) {
            self.meters.refused();
            tracing::error!(
                port = self.port,
                problem,
                "a certificate is not used, the one before stays in use: write a certificate and its key, both in PEM"
            );
            self.problem = Some(problem);
        }
    }

    fn tell_validity(&self, now: SystemTime) {
        let until = self.certificates.valid_until();
        self.meters.valid(self.certificates.validity());
        if until.is_some_and(|until| until < now) {
            tracing::warn!(
                port = self.port,
                "the certificate is over: clients refuse it, so write another one"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::config::PemSource;
    use crate::tls::testing::{given, pem};

    fn write(dir: &Path, (certificate, key): &(String, String)) {
        fs::write(dir.join("c.pem"), certificate).unwrap();
        fs::write(dir.join("k.pem"), key).unwrap();
    }

    /// A keeper of the certificate in `dir`, which has looked around.
    fn keeper(dir: &Path) -> (Keeper, Certificates) {
        let file = |name| PemSource::File(dir.join(name));
        let certificates = Certificates::open(&given(file("c.pem"), file("k.pem"))).unwrap();
        let list = [("public", certificates.clone())];
        let mut keeper = Keeper::new(list.into_iter(), SystemTime::now());
        look(&mut keeper, 2);
        (keeper, certificates)
    }

    fn look(keeper: &mut Keeper, times: usize) {
        for _ in 0..times {
            keeper.look_at(false, SystemTime::now());
        }
    }

    #[test]
    fn another_certificate_counts_once_both_files_have_settled() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (pem(), pem());
        write(dir.path(), &first);
        let (mut keeper, certificates) = keeper(dir.path());
        let before = certificates.fingerprint();
        // Of another length, so that they are told apart where files' times are coarse.
        let second = (format!("{}\n", second.0), format!("{}\n", second.1));
        fs::write(dir.path().join("c.pem"), &second.0).unwrap();
        look(&mut keeper, 1);
        fs::write(dir.path().join("k.pem"), &second.1).unwrap();
        look(&mut keeper, 1);
        assert_eq!(certificates.fingerprint(), before, "the key is being written");
        look(&mut keeper, 1);
        assert_ne!(certificates.fingerprint(), before);
        assert_eq!(keeper.0[0].problem, None, "the one never met the other's key");
    }

    #[test]
    fn a_bad_file_keeps_the_certificate_until_it_is_good_again() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (pem(), pem());
        write(dir.path(), &first);
        let (mut keeper, certificates) = keeper(dir.path());
        let before = certificates.fingerprint();
        fs::write(dir.path().join("c.pem"), "nonsense").unwrap();
        look(&mut keeper, 2);
        assert!(
            keeper.0[0]
                .problem
                .as_ref()
                .unwrap()
                .contains("there is no certificate")
        );
        fs::remove_file(dir.path().join("k.pem")).unwrap();
        look(&mut keeper, 2);
        assert!(keeper.0[0].problem.as_ref().unwrap().contains("cannot read"));
        assert_eq!(certificates.fingerprint(), before);
        write(dir.path(), &first);
        look(&mut keeper, 2);
        assert_eq!(keeper.0[0].problem, None);
        assert_eq!(certificates.fingerprint(), before);
        write(dir.path(), &second);
        keeper.look_at(true, SystemTime::now());
        assert_ne!(
            certificates.fingerprint(),
            before,
            "told to look, it does so at once"
        );
    }

    #[test]
    fn files_are_said_to_be_refused_until_they_can_be_used() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let says = |line: &str| {
            let text = handle.render();
            assert!(text.lines().any(|found| found == line), "not {line}: {text}");
        };
        let dir = tempfile::tempdir().unwrap();
        let first = pem();
        write(dir.path(), &first);
        let (mut keeper, _) = metrics::with_local_recorder(&recorder, || keeper(dir.path()));
        says("campanile_tls_refused{port=\"public\"} 0");
        fs::write(dir.path().join("c.pem"), "nonsense").unwrap();
        look(&mut keeper, 4);
        says("campanile_tls_refused{port=\"public\"} 1");
        // What is in the files is what is in use already.
        write(dir.path(), &first);
        look(&mut keeper, 2);
        says("campanile_tls_refused{port=\"public\"} 0");
    }

    #[test]
    fn a_generated_certificate_is_renewed_before_it_is_over() {
        let certificates = Certificates::generated().unwrap();
        let list = [("public", certificates.clone())];
        let mut keeper = Keeper::new(list.into_iter(), SystemTime::now());
        let before = certificates.fingerprint();
        keeper.look_at(true, SystemTime::now());
        assert_eq!(certificates.fingerprint(), before);
        let until = certificates.valid_until().unwrap();
        keeper.look_at(false, until - Duration::from_secs(24 * 60 * 60));
        assert_ne!(certificates.fingerprint(), before);
    }
}
