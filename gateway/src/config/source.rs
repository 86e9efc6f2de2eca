//! Where a configuration is written: a file, the environment, flags. Later ones win.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::centrifugo;
use super::mistyped;
use super::place::{self, Place};
use super::report::{Mistake, Report};
use super::schema::{Schema, flat_name};

/// What environment variables of this program begin with.
pub(super) const PREFIX: &str = "CAMPANILE_";

/// Everything that may say something about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A JSON, YAML or TOML file.
    pub file: Option<PathBuf>,
    /// The environment, whole.
    pub environment: Vec<(String, String)>,
    /// Keys set by flags, by path.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// A file, and the environment and flags of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            file,
            environment,
            flags,
        }
    }

    /// What the file says; nothing where there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read; says so in one line.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
    }

    /// All of it as one value, with `report` told of what is wrong. `None`: the file, which says `text`, is not understood,
    /// and without it everything else would seem to be missing.
    #[must_use]
    pub(super) fn merge(&self, text: &[u8], schema: &Schema, report: &mut Report) -> Option<Value> {
        let mut merged = Value::Object(Map::new());
        if let Some(file) = &self.file {
            match understand(file, text) {
                Ok(value) => merged = value,
                Err(problem) => {
                    report.mistake(Mistake::File, problem);
                    return None;
                }
            }
        }
        without_nulls(&mut merged);
        self.apply_environment(schema, &mut merged, report);
        for (path, text) in &self.flags {
            match schema.keys().get(path) {
                Some(template) => set_text(&mut merged, path, (template, text), report),
                None => report.mistake(Mistake::UnknownKey, unknown(path, schema.closest(path))),
            }
        }
        Some(merged)
    }

    /// Says of each finding where its key is set, as the file is at this moment.
    pub fn locate(&self, report: &mut Report) {
        if !report.findings().is_empty() {
            // What cannot be read has been found already, and sets nothing.
            self.locate_in(&self.read().unwrap_or_default(), report);
        }
    }

    /// The same in a file that says `text`.
    pub(super) fn locate_in(&self, text: &[u8], report: &mut Report) {
        let text = std::str::from_utf8(text).unwrap_or_default();
        report.locate(|path| {
            let in_file = || {
                let file = self.file.as_ref()?;
                let line = place::line(file, text, path)?;
                Some(Place::File(file.display().to_string(), line))
            };
            self.place(path).or_else(in_file)
        });
    }

    /// The flag or the variable that sets the key at `path`, or a section that it is in. Flags win.
    fn place(&self, path: &str) -> Option<Place> {
        let sets = |section: &str| {
            if self.flags.iter().any(|(flag, _)| flag == section) {
                return Some(Place::CommandLine);
            }
            let variable = format!("{PREFIX}{}", flat_name(section).to_ascii_uppercase());
            let is_set = self.environment.iter().any(|(name, _)| *name == variable);
            is_set.then_some(Place::Variable(variable))
        };
        let ends = path.match_indices(['.', '[']).map(|(end, _)| end);
        let mut sections = std::iter::once(path).chain(ends.rev().map(|end| &path[..end]));
        sections.find_map(sets)
    }

    fn apply_environment(&self, schema: &Schema, merged: &mut Value, report: &mut Report) {
        let keys = schema.keys();
        for (variable, text) in &self.environment {
            let Some(name) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            let settable = keys.iter().filter(|(path, _)| !path.contains("[]"));
            if let Some((path, template)) = settable.into_iter().find(|(path, _)| flat_name(path) == name) {
                set_text(merged, path, (template, text), report);
            } else if let Some(ignored) = centrifugo::ignored_variable(&name) {
                report.ignored(variable, ignored, text.is_empty());
            } else if !is_of_the_surroundings(&name) {
                report.warning(unknown_variable(schema, variable, &name));
            }
        }
    }
}

/// What an unknown key is answered with.
pub(super) fn unknown(path: &str, closest: Option<String>) -> String {
    match closest {
        Some(closest) => format!("{path}: there is no such key; did you mean {closest}?"),
        None => format!("{path}: there is no such key"),
    }
}

fn unknown_variable(schema: &Schema, variable: &str, name: &str) -> String {
    match schema.closest(name) {
        Some(closest) => {
            let closest = flat_name(&closest).to_ascii_uppercase();
            format!("environment variable {variable} sets nothing; did you mean {PREFIX}{closest}?")
        }
        None => format!("environment variable {variable} sets nothing"),
    }
}

/// Variables that begin with the prefix but are not settings: `--config` itself, and what Kubernetes sets in every
/// pod beside a service that is named like this program.
fn is_of_the_surroundings(name: &str) -> bool {
    name == "config" || name == "port" || name.starts_with("port_") || name.starts_with("service_")
}

fn understand(file: &Path, text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned());
    let value = text.and_then(|text| parse(file, text));
    value.map_err(|error| format!("{} is not understood: {error}", file.display()))
}

fn parse(file: &Path, text: &str) -> Result<Value, String> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let value: Value = match extension {
        Some("json") => serde_json::from_str(text).map_err(|error| error.to_string())?,
        Some("yaml" | "yml") => serde_yaml_ng::from_str(text).map_err(|error| in_yaml(&error))?,
        Some("toml") => toml::from_str(text).map_err(|error| in_toml(text, &error))?,
        _ => return Err("its name must end in .json, .yaml, .yml or .toml".to_owned()),
    };
    match value {
        Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::Object(Map::new())),
        _ => Err("it must hold keys and values".to_owned()),
    }
}

/// What is wrong. A value that is not what its tag says (`!!int`) is quoted by the parser, but may be a secret.
fn in_yaml(error: &serde_yaml_ng::Error) -> String {
    let text = error.to_string();
    let Some((key, _)) = text.split_once("invalid value: ") else {
        return text;
    };
    let line = error.location().map_or(0, |location| location.line());
    format!("{key}the value in line {line} is not what its tag says")
}

/// What is wrong, and in which line: the parser's own words take several lines.
fn in_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("{} at line {}", error.message(), before.matches('\n').count() + 1),
        None => error.message().to_owned(),
    }
}

/// An empty YAML section is null; it says nothing.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Sets a key by what a variable or a flag says; or reports that this is not understood.
fn set_text(merged: &mut Value, path: &str, (template, text): (&Value, &str), report: &mut Report) {
    match typed(template, text) {
        Ok(value) => set(merged, path, value),
        Err(error) => report.mistake(Mistake::WrongType, mistyped::no_json(path, &error)),
    }
}

/// A text as a value of the template's type. What is no number or truth value stays text, which is then refused with its key.
fn typed(template: &Value, text: &str) -> Result<Value, serde_json::Error> {
    let as_text = || Value::String(text.to_owned());
    match template {
        Value::String(_) | Value::Null => Ok(as_text()),
        Value::Array(elements)
            if !text.trim_start().starts_with('[') && !elements.iter().any(Value::is_object) =>
        {
            Ok(words(text))
        }
        Value::Array(_) | Value::Object(_) => serde_json::from_str(text),
        Value::Bool(_) | Value::Number(_) => Ok(serde_json::from_str(text).unwrap_or_else(|_| as_text())),
    }
}

/// Centrifugo's way of writing a list in a variable: words with spaces between them.
fn words(text: &str) -> Value {
    text.split_whitespace()
        .map(|word| Value::String(word.to_owned()))
        .collect()
}

/// Turns texts into numbers and truth values where the schema has those: files say `"8000"` now and then.
pub(super) fn unquote(value: &mut Value, schema: &Schema) {
    unquote_below(value, schema.specimen());
}

fn unquote_below(value: &mut Value, template: &Value) {
    match (&mut *value, template) {
        (Value::Object(object), Value::Object(template)) => {
            for (key, value) in object {
                if let Some(template) = template.get(key) {
                    unquote_below(value, template);
                }
            }
        }
        (Value::Array(list), Value::Array(template)) => {
            if let Some(template) = template.first() {
                list.iter_mut().for_each(|value| unquote_below(value, template));
            }
        }
        (Value::String(text), Value::Number(_) | Value::Bool(_)) => {
            if let Ok(typed) = typed(template, text) {
                *value = typed;
            }
        }
        _ => {}
    }
}

fn set(root: &mut Value, path: &str, value: Value) {
    let mut at = root;
    for key in path.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let object = at.as_object_mut().expect("made an object above");
        at = object.entry(key).or_insert(Value::Null);
    }
    *at = value;
}
