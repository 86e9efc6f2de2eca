//! The keys of Centrifugo v6 that mean nothing here (yet), so that a file which has them starts and says so.

use super::schema::{SetKey, flat_name};

/// One key a line: pattern (`.*` at the end: all below), verdict, and what to do instead.
const KEYS: &str = include_str!("centrifugo.keys");

/// A key of Centrifugo that is ignored here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    pattern: &'static str,
    /// Why.
    pub verdict: Verdict,
    /// What follows, or what to write instead; may be empty.
    pub hint: &'static str,
}

/// Why a key of Centrifugo is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What it controls may come.
    Later,
    /// What it controls does not exist here.
    Meaningless,
    /// Who relies on it is less protected than they think.
    Security,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Later => "is not supported yet and is ignored",
            Self::Meaningless => "has no meaning here",
            Self::Security => "protects something in Centrifugo and is IGNORED here",
        }
    }
}

/// What is known of `key`; `None`: Centrifugo has no such key either.
#[must_use]
pub(super) fn ignored(key: &SetKey) -> Option<Ignored> {
    // Both kinds of namespaces have the same keys; the list has one of them.
    let pattern = key
        .pattern
        .replace("channel.without_namespace.", "channel.namespaces[].");
    entries().find(|entry| entry.matches(&pattern))
}

/// The same for the name of an environment variable in small letters, without its prefix.
#[must_use]
pub(super) fn ignored_variable(name: &str) -> Option<Ignored> {
    entries().find(|entry| match entry.pattern.strip_suffix(".*") {
        Some(section) => name.starts_with(&format!("{}_", flat_name(section))),
        None => flat_name(entry.pattern) == name,
    })
}

fn entries() -> impl Iterator<Item = Ignored> {
    KEYS.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(parse)
}

fn parse(line: &'static str) -> Option<Ignored> {
    let (pattern, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    let (verdict, hint) = rest.split_once(' ').unwrap_or((rest, ""));
    let verdict = match verdict {
        "later" => Verdict::Later,
        "meaningless" => Verdict::Meaningless,
        "security" => Verdict::Security,
        _ => return None,
    };
    Some(Ignored {
        pattern,
        verdict,
        hint: hint.trim(),
    })
}

impl Ignored {
    fn matches(&self, pattern: &str) -> bool {
        match self.pattern.strip_suffix(".*") {
            Some(section) => pattern
                .strip_prefix(section)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
            None => self.pattern == pattern || self.pattern.strip_suffix("[]") == Some(pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::Schema;

    #[test]
    fn every_line_is_understood_and_none_names_a_key_of_ours() {
        let schema = Schema::new();
        let ours = schema.keys();
        for line in KEYS.lines().filter(|line| !line.starts_with('#')) {
            let entry = parse(line).unwrap_or_else(|| panic!("not understood: {line}"));
            assert!(!ours.contains_key(entry.pattern), "{line}");
        }
    }
}
