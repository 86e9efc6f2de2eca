//! What there is to say about a configuration: errors, after which nothing starts, and warnings.

use std::fmt;

use serde::Serialize;

use super::centrifugo::{Ignored, Verdict};
use super::place::Place;

/// Everything found, in the order in which it was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of mistake it is, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<Mistake>,
    /// The key, its value where that is no secret, and what to write; one line.
    pub text: String,
    /// Where the key is set, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What kind of mistake keeps a gateway from starting. Each ends the process with a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mistake {
    /// A key that nobody knows.
    UnknownKey,
    /// A value of the wrong type, or in the wrong unit.
    WrongType,
    /// Two of a kind have one name.
    NameTaken,
    /// A certificate or a key that cannot be used.
    Certificate,
    /// The file cannot be read, or is not understood.
    File,
    /// An address cannot be listened on.
    Address,
    /// The host of the topology store cannot be found.
    Store,
    /// Any other, or several.
    Other,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
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
        self.mistake(Mistake::Other, text);
    }

    /// The same, of a kind that is told apart.
    pub fn mistake(&mut self, mistake: Mistake, text: impl Into<String>) {
        self.add(Severity::Error, Some(mistake), text);
    }

    /// Something that may be other than expected.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.add(Severity::Warning, None, text);
    }

    /// Something that may be less protected than expected.
    pub fn security(&mut self, text: impl Into<String>) {
        self.add(Severity::Security, None, text);
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
        self.add(severity, None, format!("{path} {verdict}{separator}{hint}"));
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing starts.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether there is such a mistake.
    #[must_use]
    pub fn has(&self, mistake: Mistake) -> bool {
        self.errors().any(|error| error.mistake == Some(mistake))
    }

    /// What must be changed.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.severity == Severity::Error)
    }

    /// What kind of mistake all errors are; of several kinds, or without errors: [`Mistake::Other`].
    #[must_use]
    pub fn kind(&self) -> Mistake {
        let mut kinds = self.errors().filter_map(|finding| finding.mistake);
        let first = kinds.next().unwrap_or(Mistake::Other);
        if kinds.all(|kind| kind == first) {
            first
        } else {
            Mistake::Other
        }
    }

    /// Says of each finding where its key is set, as `place` knows it.
    pub(super) fn locate(&mut self, place: impl Fn(&str) -> Option<Place>) {
        for finding in &mut self.findings {
            let path = finding.text.split([':', ' ']).next().unwrap_or_default();
            finding.place = place(path);
        }
    }

    /// Writes all but the errors to the log.
    pub fn log(&self) {
        for finding in &self.findings {
            let text = finding.to_string();
            match finding.severity {
                Severity::Note => tracing::info!(key = text, "configuration"),
                Severity::Warning => tracing::warn!(key = text, "configuration"),
                Severity::Security => tracing::error!(key = text, "configuration: SECURITY"),
                Severity::Error => {}
            }
        }
    }

    fn add(&mut self, severity: Severity, mistake: Option<Mistake>, text: impl Into<String>) {
        let text = text.into();
        // Whoever reads it wants a line, whatever a parser has to say.
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        self.findings.push(Finding {
            severity,
            mistake,
            text: lines.join(" "),
            place: None,
        });
    }
}

/// What was found, and where.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

/// In a word.
impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Security => "SECURITY",
            Self::Error => "error",
        })
    }
}

/// One finding a line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}: {finding}", finding.severity)?;
        }
        Ok(())
    }
}
