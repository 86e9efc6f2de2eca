//! The commands about this program itself, and about certificates.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use super::output::{answer, fail, say};
use super::{Cli, Exit};
use crate::tls::fingerprint_of_file;

/// The commit that this was built from, where whoever built it said so.
const COMMIT: Option<&str> = match option_env!("CAMPANILE_COMMIT") {
    Some(commit) if !commit.is_empty() => Some(commit),
    _ => None,
};

/// Which certificate.
#[derive(Debug, Args)]
pub struct FingerprintArguments {
    /// A PEM file; the first certificate in it counts
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionArguments {
    /// Whose words it is in
    shell: Shell,
}

/// How to say it.
#[derive(Debug, Args)]
pub struct VersionArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// `fingerprint`: prints that of a certificate.
#[must_use]
pub fn fingerprint(arguments: &FingerprintArguments) -> Exit {
    match fingerprint_of_file(&arguments.file) {
        Ok(fingerprint) => answer(
            arguments.json,
            || json!({ "sha256": fingerprint.to_string(), "base64": fingerprint.base64() }),
            || format!("{fingerprint}\n{}", fingerprint.base64()),
        ),
        Err(error) => fail(Exit::Certificate, arguments.json, None, &error.to_string()),
    }
}

/// `completions`: prints a script for a shell.
#[must_use]
pub fn completions(arguments: &CompletionArguments) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "campanile", &mut script);
    say(script.trim_ascii_end());
    Exit::Success
}

/// `version`: prints it, and what it was built from and with.
#[must_use]
pub fn version(arguments: &VersionArguments) -> Exit {
    let (version, rustc) = (env!("CARGO_PKG_VERSION"), env!("BUILT_WITH_RUSTC"));
    answer(
        arguments.json,
        || json!({ "version": version, "commit": COMMIT, "rustc": rustc }),
        || match COMMIT {
            Some(commit) => format!("campanile {version} (commit {commit}, {rustc})"),
            None => format!("campanile {version} ({rustc})"),
        },
    )
}
