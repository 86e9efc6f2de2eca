//! Written configurations, and what comes of them.

mod centrifugo;
mod cluster;
mod defaults;
mod mistakes;
mod ports;
mod sources;

use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A file written for Centrifugo v6, with most of what people set there.
const CENTRIFUGO: &str = include_str!("tests/centrifugo.yaml");

/// A configuration being written.
struct Written {
    dir: TempDir,
    sources: Sources,
}

impl Written {
    fn file(name: &str, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        Self { dir, sources }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> (Config, Report) {
        assert!(self.dir.path().exists());
        Config::load(&self.sources).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    fn errors(&self) -> Vec<String> {
        let Err(Invalid(report)) = Config::load(&self.sources) else {
            panic!("it was accepted");
        };
        texts(&report, Severity::Error)
    }
}

fn texts(report: &Report, severity: Severity) -> Vec<String> {
    let findings = report.findings().iter();
    findings
        .filter(|finding| finding.severity == severity)
        .map(|finding| finding.text.clone())
        .collect()
}

fn without_file() -> Sources {
    Sources::default()
}
