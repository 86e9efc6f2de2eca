//! Which keys there are, read off a [specimen](Raw::specimen) of the configuration.

use std::collections::BTreeMap;

use serde_json::Value;

use super::raw::Raw;

/// The form of a configuration: a value whose leaves show the type of each key.
#[derive(Clone, Debug)]
pub struct Schema {
    specimen: Value,
}

/// A key that is set in a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct SetKey {
    /// The path as people write it: `channel.namespaces[2].presence`.
    pub path: String,
    /// The same without indices: `channel.namespaces[].presence`.
    pub pattern: String,
    /// Whether the value switches nothing on: false, 0, or nothing in it.
    pub is_off: bool,
}

impl Schema {
    /// The form of [`Raw`].
    #[must_use]
    pub fn new() -> Self {
        let specimen = serde_json::to_value(Raw::specimen());
        Self {
            specimen: specimen.expect("the configuration consists of what JSON has"),
        }
    }

    /// A value of the right type for every key, with one element in every list.
    #[must_use]
    pub fn specimen(&self) -> &Value {
        &self.specimen
    }

    /// Every key by its pattern, objects included, with a value of its type.
    #[must_use]
    pub fn keys(&self) -> BTreeMap<String, &Value> {
        let mut keys = BTreeMap::new();
        collect(&self.specimen, "", &mut keys);
        keys
    }

    /// The keys set in `value` that are not in the schema, each down to its leaves.
    #[must_use]
    pub fn strangers(&self, value: &Value) -> Vec<SetKey> {
        let mut found = Vec::new();
        let root = SetKey {
            path: String::new(),
            pattern: String::new(),
            is_off: false,
        };
        compare(Some(&self.specimen), value, &root, &mut found);
        found
    }

    /// The pattern that looks most like `pattern`, if any does: what someone who wrote it may have meant.
    #[must_use]
    pub fn closest(&self, pattern: &str) -> Option<String> {
        let wanted = flat_name(pattern);
        let keys = self.keys();
        let leaves = keys.iter().filter(|(_, value)| !value.is_object());
        let (score, name) = leaves
            .map(|(key, _)| (likeness(&wanted, &flat_name(key)), key))
            .max_by(|a, b| a.0.total_cmp(&b.0))?;
        (score >= 0.8).then(|| name.clone())
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

/// The key's name as environment variables have it, in small letters.
#[must_use]
pub(super) fn flat_name(pattern: &str) -> String {
    pattern.replace("[]", "").replace('.', "_")
}

/// 1 is the same. A name of which the other is the end counts as nearly the same: people forget sections.
fn likeness(wanted: &str, name: &str) -> f64 {
    let is_end = name
        .strip_suffix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    if is_end {
        0.99
    } else {
        strsim::normalized_damerau_levenshtein(wanted, name)
    }
}

fn collect<'a>(value: &'a Value, path: &str, keys: &mut BTreeMap<String, &'a Value>) {
    if !path.is_empty() {
        keys.insert(path.to_owned(), value);
    }
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                collect(value, &join(path, key), keys);
            }
        }
        Value::Array(list) => {
            for value in list {
                collect(value, &format!("{path}[]"), keys);
            }
        }
        _ => {}
    }
}

fn compare(template: Option<&Value>, value: &Value, at: &SetKey, found: &mut Vec<SetKey>) {
    match value {
        // Not a key that nobody knows, but the wrong type, whose contents are nobody's business.
        Value::Object(_) if template.is_some_and(|template| !template.is_object()) => {}
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                let below = SetKey {
                    path: join(&at.path, key),
                    pattern: join(&at.pattern, key),
                    is_off: false,
                };
                let template = template.and_then(|template| template.get(key));
                compare(template, value, &below, found);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (index, value) in list.iter().enumerate() {
                let below = SetKey {
                    path: format!("{}[{index}]", at.path),
                    pattern: format!("{}[]", at.pattern),
                    is_off: false,
                };
                let template = template.and_then(|template| template.get(0));
                compare(template, value, &below, found);
            }
        }
        _ if template.is_none() => found.push(SetKey {
            is_off: is_off(value),
            ..at.clone()
        }),
        _ => {}
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
