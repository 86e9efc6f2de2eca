//! What is said of a value that has the wrong type.
//!
//! What was found is shown only under a key whose values nobody hides: a number, a duration and the like. Whoever mistakes
//! the form of a list or a section may have written a password at any place in it.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::describe::Kind;
use super::reference;

/// What is said in place of a value.
const NOT_SHOWN: &str = "(its value is not shown)";

/// What types are called by those who read values, and by those who write them.
const TYPES: [(&str, &str); 10] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more"),
    ("i64", "a whole number"),
    ("a boolean", "true or false"),
    ("a string", "a text"),
    ("a sequence", "a list"),
    ("a map", "a section, with keys of its own"),
    ("struct ", "a section, with keys of its own"),
];

/// The key, what is wrong with its value in `merged`, and what to write instead.
pub(super) fn mistyped(merged: &Value, error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path();
    let kind = kind(path);
    if kind.is_some_and(is_harmless) && !is_about_a_secret(path) {
        return format!("{path}: {}", plainly(&error.inner().to_string()));
    }
    let (found, hint) = match found(merged, path) {
        None | Some(Value::Null) => ("nothing", ""),
        Some(Value::Bool(_)) => ("true or false", "; put quotes around it"),
        Some(Value::Number(_)) => ("a number", "; put quotes around it"),
        Some(Value::String(_)) => ("a text", ""),
        Some(Value::Array(_)) => ("a list", ""),
        Some(Value::Object(_)) => ("a section", ""),
    };
    let hint = if matches!(kind, Some(Kind::Text)) {
        hint
    } else {
        ""
    };
    let expected = kind.map_or("something else", in_words);
    format!("{path}: expected {expected}, found {found} {NOT_SHOWN}{hint}")
}

/// The same of what a variable or a flag holds, if that should have been JSON.
pub(super) fn no_json(path: &str, error: &serde_json::Error) -> String {
    // A parser of JSON that makes a value of anything quotes nothing: it says what it missed, and where.
    format!("{path}: is no JSON, {error} {NOT_SHOWN}")
}

/// What the key at `path` is, or the element of a list there.
fn kind(path: &Path) -> Option<Kind> {
    let pattern = pattern(path);
    let keys = reference::keys();
    let of = |pattern: &str| keys.iter().find(|key| key.key == pattern).map(|key| key.kind);
    of(&pattern).or_else(|| match of(pattern.strip_suffix("[]")?)? {
        Kind::Sections(fields) => Some(Kind::Section(fields)),
        Kind::Texts => Some(Kind::Text),
        _ => None,
    })
}

/// Whether nobody hides values of this kind.
const fn is_harmless(kind: Kind) -> bool {
    matches!(kind, Kind::Boolean | Kind::Number | Kind::Duration | Kind::Bytes)
}

/// Whether a secret may have been written there by mistake: its own key is beside this one, with nearly the same name.
fn is_about_a_secret(path: &Path) -> bool {
    let path = path.to_string();
    ["key", "password", "pem", "secret", "url"]
        .iter()
        .any(|word| path.contains(word))
}

/// The path without indices, as keys are listed.
fn pattern(path: &Path) -> String {
    let mut pattern = String::new();
    for segment in path {
        match segment {
            Segment::Seq { .. } => pattern.push_str("[]"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                let separator = if pattern.is_empty() { "" } else { "." };
                pattern.push_str(separator);
                pattern.push_str(key);
            }
            Segment::Unknown => {}
        }
    }
    pattern
}

fn found<'a>(merged: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter().try_fold(merged, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

const fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true or false",
        Kind::Number => "a whole number",
        Kind::Text => "a text",
        Kind::Duration => "a duration with a unit",
        Kind::Bytes => "a number of bytes",
        Kind::Texts => "a text or a list of texts",
        Kind::Section(_) => "a section, with keys of its own",
        Kind::Sections(_) => "a list of sections, each with keys of its own",
    }
}

/// What was expected in words for people.
fn plainly(problem: &str) -> String {
    let Some((found, expected)) = problem.rsplit_once(", expected ") else {
        return problem.to_owned();
    };
    let known = TYPES
        .iter()
        .find(|(name, _)| *name == expected || (name.ends_with(' ') && expected.starts_with(name)));
    known.map_or_else(
        || problem.to_owned(),
        |(_, words)| format!("{found}, expected {words}"),
    )
}

#[cfg(test)]
mod tests;
