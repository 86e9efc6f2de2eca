//! What there is to say about a configuration: errors, after which nothing starts, and warnings.

use std::fmt;

use super::centrifugo::{Ignored, Verdict};

/// Everything found, in the order in which it was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The key, its value where that is no secret, and what to write.
    pub text: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing follows from it.
    Note,
    /// Something may be other than expected.
    Warning,
    /// Something may be less protected than expected.
    Security,
    /// The gateway does not start.
    Error,
}

impl Report {
    /// Something that must be changed.
    pub fn error(&mut self, text: impl Into<String>) {
        self.add(Severity::Error, text);
    }

    /// Something that may be other than expected.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.add(Severity::Warning, text);
    }

    /// Something that may be less protected than expected.
    pub fn security(&mut self, text: impl Into<String>) {
        self.add(Severity::Security, text);
    }

    /// The key at `path`, which is Centrifugo's. One that switches nothing on is only noted.
    pub fn ignored(&mut self, path: &str, ignored: Ignored, is_off: bool) {
        let severity = match ignored.verdict {
            _ if is_off => Severity::Note,
            Verdict::Security => Severity::Security,
            Verdict::Later | Verdict::Meaningless => Severity::Warning,
        };
        let verdict = ignored.verdict.text();
        let hint = ignored.hint;
        let separator = if hint.is_empty() { "" } else { ": " };
        self.add(severity, format!("{path} {verdict}{separator}{hint}"));
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing starts.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Writes all but the errors to the log.
    pub fn log(&self) {
        for Finding { severity, text } in &self.findings {
            match severity {
                Severity::Note => tracing::info!(key = text, "configuration"),
                Severity::Warning => tracing::warn!(key = text, "configuration"),
                Severity::Security => tracing::error!(key = text, "configuration: SECURITY"),
                Severity::Error => {}
            }
        }
    }

    fn add(&mut self, severity: Severity, text: impl Into<String>) {
        let text = text.into();
        self.findings.push(Finding { severity, text });
    }
}

/// One finding a line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { severity, text } in &self.findings {
            let severity = match severity {
                Severity::Note => "note",
                Severity::Warning => "warning",
                Severity::Security => "SECURITY",
                Severity::Error => "error",
            };
            writeln!(f, "{severity}: {text}")?;
        }
        Ok(())
    }
}
