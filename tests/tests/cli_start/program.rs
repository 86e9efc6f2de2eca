//! The program, run to its end.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::binary;
use campanile_tests::wait::SOON;
use serde_json::Value;
use tokio::process::Command;

/// How a command ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) said: String,
}

impl Ended {
    /// Its output, which is JSON.
    pub(super) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {}{}", self.out, self.said))
    }
}

/// Runs the program to its end.
pub(super) async fn run(arguments: &[&str]) -> Result<Ended> {
    finish(command(arguments)?).await
}

pub(super) fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

pub(super) async fn finish(mut command: Command) -> Result<Ended> {
    let output = tokio::time::timeout(2 * SOON, command.output())
        .await
        .with_context(|| format!("it hangs: {command:?}"))??;
    Ok(Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout)?,
        said: String::from_utf8(output.stderr)?,
    })
}
