//! Every key with its type, default, unit and meaning, from the definitions that a configuration is read by: what
//! `campanile configdoc` prints, and the tables of docs/configuration.md.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::describe::{Described as _, Field, Kind};
use super::raw::Raw;
use super::schema::{Schema, flat_name};
use super::source::PREFIX;

/// What there is to say about a key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyDoc {
    /// As people write it, `[]` for any element of a list: `channel.namespaces[].presence`.
    pub key: String,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What its value counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// What holds where it is not set; `None`: it is a section, whose keys have their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it is for.
    pub meaning: String,
    /// The variable that sets it, if one can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// There is no such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: there is no such key{1}")]
pub struct NoSuchKey(String, String);

/// A document's tables cannot be brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeaveError {
    /// One names what is no key.
    #[error(transparent)]
    NoSuchKey(#[from] NoSuchKey),
    /// One has no end.
    #[error("the table of {0} has no end: write {END} behind it")]
    Endless(String),
}

/// Every key, in the order of their definitions.
#[must_use]
pub fn keys() -> Vec<KeyDoc> {
    let specimen = Schema::new();
    let mut keys = Vec::new();
    if let Kind::Section(fields) = Raw::KIND {
        describe(fields, "", specimen.specimen(), &mut keys);
    }
    keys
}

/// Those of `keys` that are one of `wanted` or within it.
///
/// # Errors
///
/// If nothing is.
pub fn select<'a>(keys: &'a [KeyDoc], wanted: &[&str]) -> Result<Vec<&'a KeyDoc>, NoSuchKey> {
    let mut selected = Vec::new();
    for wanted in wanted {
        let before = selected.len();
        selected.extend(keys.iter().filter(|key| is_within(&key.key, wanted)));
        if selected.len() == before {
            let closest = Schema::new().closest(wanted);
            let hint = closest.map(|key| format!("; did you mean {key}?"));
            return Err(NoSuchKey((*wanted).to_owned(), hint.unwrap_or_default()));
        }
    }
    Ok(selected)
}

/// All of it in Markdown: a table for each section.
#[must_use]
pub fn markdown(keys: &[KeyDoc]) -> String {
    let mut text = "# Configuration keys\n".to_owned();
    for section in keys.iter().filter(|key| !key.key.contains('.')) {
        let within: Vec<_> = keys
            .iter()
            .filter(|key| key.key != section.key && is_within(&key.key, &section.key))
            .collect();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n## `{}`\n\n{}\n\n{}",
            section.key,
            section.meaning,
            table(&within)
        );
    }
    text
}

/// These keys as a table in Markdown. Those of `channel.without_namespace` are left out, which are those of a namespace.
#[must_use]
pub fn table(keys: &[&KeyDoc]) -> String {
    let mut text = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for key in keys {
        if key.key.starts_with("channel.without_namespace.") {
            continue;
        }
        let default = key.default.as_ref().map(|default| shown(key.kind, default));
        let row = [
            format!("`{}`", key.key),
            match key.unit {
                Some(unit) => format!("{} ({unit})", key.kind.name()),
                None => key.kind.name().to_owned(),
            },
            default.unwrap_or_default(),
            key.meaning.clone(),
        ];
        let row = row.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", row.join(" | ").replace("|  |", "| |"));
    }
    text
}

/// Begins a table of keys in a document, before the sections that are in it.
const BEGIN: &str = "<!-- keys: ";

/// Ends it.
const END: &str = "<!-- end of keys -->";

/// The document `text` with its tables of keys as they are now: what stands between `<!-- keys: a b.c -->` and `<!-- end of
/// keys -->` becomes the table of these sections.
///
/// # Errors
///
/// If a table names what is no key, or has no end.
pub fn weave(text: &str) -> Result<String, WeaveError> {
    let keys = keys();
    let mut woven = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(woven, "{line}");
        let wanted = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(wanted) = wanted {
            let sections: Vec<&str> = wanted.split_whitespace().collect();
            let _ = write!(woven, "\n{}\n{END}\n", table(&select(&keys, &sections)?));
            let end = lines.by_ref().find(|line| *line == END);
            end.ok_or_else(|| WeaveError::Endless(wanted.to_owned()))?;
        }
    }
    Ok(woven)
}

fn describe(fields: &[Field], path: &str, specimen: &Value, keys: &mut Vec<KeyDoc>) {
    for field in fields {
        let separator = if path.is_empty() { "" } else { "." };
        let key = format!("{path}{separator}{}", field.name);
        let value = &specimen[field.name];
        let meaning: Vec<&str> = field.meaning.iter().map(|line| line.trim()).collect();
        keys.push(KeyDoc {
            kind: field.kind,
            unit: field.unit,
            default: match field.kind {
                Kind::Section(_) => None,
                // The specimen has one element, to show its keys.
                Kind::Sections(_) => Some(Value::Array(Vec::new())),
                _ => Some(value.clone()),
            },
            meaning: meaning.join(" ").trim().to_owned(),
            variable: variable(&key),
            key: key.clone(),
        });
        match field.kind {
            Kind::Section(fields) => describe(fields, &key, value, keys),
            Kind::Sections(fields) => describe(fields, &format!("{key}[]"), &value[0], keys),
            _ => {}
        }
    }
}

fn variable(key: &str) -> Option<String> {
    let is_in_list = key.contains("[]");
    (!is_in_list).then(|| format!("{PREFIX}{}", flat_name(key).to_ascii_uppercase()))
}

fn is_within(key: &str, section: &str) -> bool {
    key.strip_prefix(section)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A default as it is written; nothing for what is empty.
fn shown(kind: Kind, default: &Value) -> String {
    match default {
        Value::String(text) if text.is_empty() => String::new(),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::String(text) if matches!(kind, Kind::Duration) => format!("`{}`", shortened(text)),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// A duration without the units of which there are none: `12h0m0s` is `12h`.
fn shortened(duration: &str) -> &str {
    let minutes = match duration.strip_suffix("0s") {
        Some(rest) if rest.ends_with('m') => rest,
        _ => duration,
    };
    match minutes.strip_suffix("0m") {
        Some(rest) if rest.ends_with('h') => rest,
        _ => minutes,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

    #[test]
    fn the_document_has_the_keys_as_they_are() {
        let woven = weave(DOCUMENT).unwrap();
        for (line, expected) in DOCUMENT.lines().zip(woven.lines()) {
            assert_eq!(
                line, expected,
                "`make configdoc` brings docs/configuration.md up to date"
            );
        }
        assert_eq!(DOCUMENT.len(), woven.len());
    }

    #[test]
    fn every_key_is_in_the_document_once() {
        let mut times = BTreeMap::new();
        for row in DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")) {
            *times
                .entry(row.split('`').next().unwrap_or_default())
                .or_insert(0) += 1;
        }
        for key in keys() {
            let is_leaf = !matches!(key.kind, Kind::Section(_) | Kind::Sections(_));
            if is_leaf && !key.key.starts_with("channel.without_namespace.") {
                assert_eq!(times.get(key.key.as_str()), Some(&1), "{}", key.key);
            }
        }
    }

    #[test]
    fn what_is_described_is_what_is_read() {
        let schema = Schema::new();
        let read: Vec<String> = schema
            .keys()
            .into_keys()
            .filter(|key| !key.ends_with("[]"))
            .collect();
        let mut described: Vec<String> = keys().into_iter().map(|key| key.key).collect();
        described.sort();
        assert_eq!(described, read);
    }

    #[test]
    fn every_key_has_a_meaning_and_the_type_of_its_default() {
        for key in keys() {
            assert!(key.meaning.ends_with('.'), "{}: {:?}", key.key, key.meaning);
            let fits = match (key.kind, &key.default) {
                (Kind::Boolean, Some(default)) => default.is_boolean(),
                (Kind::Number, Some(default)) => default.is_u64(),
                (Kind::Text | Kind::Duration | Kind::Bytes, Some(default)) => default.is_string(),
                (Kind::Texts | Kind::Sections(_), Some(default)) => default.is_array(),
                (Kind::Section(_), default) => default.is_none(),
                (_, None) => false,
            };
            assert!(fits, "{}: {:?} {:?}", key.key, key.kind, key.default);
        }
    }

    #[test]
    fn a_key_is_shown_with_all_that_is_known() {
        let keys = keys();
        let shown = |wanted| table(&select(&keys, &[wanted]).unwrap());
        assert!(
            shown("client.connection_rate_limit").ends_with(
                "| `client.connection_rate_limit` | number (connections a second) | `0` | New connections on one \
                 gateway at most; 0: no limit. |\n"
            ),
            "{}",
            shown("client.connection_rate_limit")
        );
        let kind = keys.iter().find(|key| key.key == "engine.type").unwrap();
        let json = serde_json::to_value(kind).unwrap();
        assert_eq!(json["type"], "text");
        assert_eq!(json["default"], "memory");
        assert_eq!(json["variable"], "CAMPANILE_ENGINE_TYPE");
        let weight = select(&keys, &["shards[].weight"]).unwrap()[0];
        assert_eq!(
            (weight.variable.as_deref(), weight.default.as_ref()),
            (None, Some(&1.into()))
        );
    }

    #[test]
    fn durations_are_short() {
        for (long, short) in [
            ("720h0m0s", "720h"),
            ("10m0s", "10m"),
            ("1h0m5s", "1h0m5s"),
            ("0s", "0s"),
            ("20s", "20s"),
        ] {
            assert_eq!(shortened(long), short);
        }
    }

    #[test]
    fn a_section_is_all_of_its_keys() {
        let keys = keys();
        let names = |wanted| -> Vec<&str> {
            select(&keys, &[wanted])
                .unwrap()
                .iter()
                .map(|key| key.key.as_str())
                .collect()
        };
        assert_eq!(names("log"), ["log", "log.level", "log.format"]);
        assert_eq!(names("shards").len(), 6);
        assert_eq!(
            select(&keys, &["log", "clint.token"]).unwrap_err().to_string(),
            "clint.token: there is no such key"
        );
        assert!(
            select(&keys, &["log.levle"])
                .unwrap_err()
                .to_string()
                .ends_with("did you mean log.level?")
        );
    }

    #[test]
    fn what_stands_around_the_tables_stays() {
        let woven = weave("a\n<!-- keys: node -->\nold\n<!-- end of keys -->\nb\n").unwrap();
        assert!(woven.starts_with("a\n<!-- keys: node -->\n\n| key |"), "{woven}");
        assert!(woven.ends_with("|\n\n<!-- end of keys -->\nb\n"), "{woven}");
        assert_eq!(weave(&woven).unwrap(), woven);
        assert!(matches!(
            weave("<!-- keys: nodes.x -->\n"),
            Err(WeaveError::NoSuchKey(_))
        ));
        assert!(matches!(
            weave("<!-- keys: node -->\na\n"),
            Err(WeaveError::Endless(_))
        ));
    }
}
