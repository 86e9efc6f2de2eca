//! The commands about configurations.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::output::{answer, complain, fail, say};
use super::{ConfigArguments, Exit};
use crate::app::check;
use crate::config::{Invalid, Report, Severity, generate, reference as keys};

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Print one JSON object: whether it is valid, and what was found
    #[arg(long)]
    json: bool,
}

/// How to write it.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// Print it as JSON, without the comments
    #[arg(long)]
    json: bool,
}

/// Which keys, and how to write them.
#[derive(Debug, Args)]
pub struct ReferenceArguments {
    /// Only these keys and sections, such as client.token
    #[arg(value_name = "KEY")]
    wanted: Vec<String>,
    /// Print an array of JSON objects instead of Markdown
    #[arg(long)]
    json: bool,
    /// Bring the tables between <!-- keys: … --> and <!-- end of keys --> in this file up to date
    #[arg(long, value_name = "FILE", conflicts_with_all = ["wanted", "json"])]
    into: Option<PathBuf>,
}

/// `checkconfig`: prints what was found.
#[must_use]
pub fn check_config(arguments: CheckArguments) -> Exit {
    let found = |valid: bool, report: &Report| json!({ "valid": valid, "findings": report.findings() });
    let is_too_much = |report: &Report| {
        let found = report.findings().iter();
        arguments.strict && found.map(|finding| finding.severity).max() > Some(Severity::Note)
    };
    let checked = match check(&arguments.config.sources()) {
        Ok(checked) if is_too_much(&checked.report) => Err(Invalid(checked.report)),
        checked => checked,
    };
    match checked {
        Ok(checked) => answer(
            arguments.json,
            || found(true, &checked.report),
            || format!("{}the configuration is valid", checked.report),
        ),
        Err(Invalid(report)) => {
            if arguments.json {
                say(found(false, &report).to_string());
            }
            complain(report.to_string().trim_end());
            report.kind().into()
        }
    }
}

/// `genconfig`: prints a file to begin with.
#[must_use]
pub fn generate_config(arguments: &GenerateArguments) -> Exit {
    let starter = generate::starter();
    if !arguments.json {
        return answer(false, || Value::Null, || starter);
    }
    match serde_yaml_ng::from_str::<Value>(&starter) {
        Ok(starter) => answer(true, || starter, String::new),
        Err(error) => fail(
            Exit::Failure,
            true,
            None,
            &format!("the file to begin with is no YAML: {error}"),
        ),
    }
}

/// `configdoc`: prints every key.
#[must_use]
pub fn reference(arguments: &ReferenceArguments) -> Exit {
    if let Some(file) = &arguments.into {
        return match weave(file) {
            Ok(()) => Exit::Success,
            Err(error) => fail(Exit::Failure, false, None, &error),
        };
    }
    let keys = keys::keys();
    let wanted: Vec<&str> = arguments.wanted.iter().map(String::as_str).collect();
    match keys::select(&keys, &wanted) {
        Err(error) => fail(Exit::Usage, arguments.json, None, &error.to_string()),
        Ok(_) if wanted.is_empty() => answer(arguments.json, || json!(keys), || keys::markdown(&keys)),
        Ok(selected) => answer(arguments.json, || json!(selected), || keys::table(&selected)),
    }
}

fn weave(file: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(failed)?;
    let woven = keys::weave(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::write(file, woven).map_err(failed)
}
