//! The `campanile-bench` binary as a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use campanile_benches::report::{Document, Report, json};
use tempfile::TempDir;

use crate::gateway::built;
use crate::process::Process;

/// A run of a second or two with all it starts has ended by then, also on a machine that is busy compiling.
const PATIENCE: Duration = Duration::from_secs(90);

/// A run of the load harness, or one of its workers.
#[derive(Debug)]
pub struct Bench {
    // Before the folder with its log, which it prints when it is dropped.
    process: Process,
    dir: TempDir,
}

/// How a [`Bench`] came to its end.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None`: a signal.
    pub code: Option<i32>,
    /// What it said on standard error.
    pub said: String,
    /// What it wrote to the file of `--json`, if it did.
    pub report: Option<Report>,
}

impl Bench {
    /// Starts `campanile-bench` with these arguments.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::launch(arguments, false)
    }

    /// Starts it with `--json` and a file of its own.
    pub fn measure(arguments: &[&str]) -> Result<Self> {
        Self::launch(arguments, true)
    }

    fn launch(arguments: &[&str], json: bool) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(binary()?);
        command.args(arguments);
        if json {
            command.arg("--json").arg(report_file(dir.path()));
        }
        let process = Process::start("bench", dir.path(), command)?;
        Ok(Self { process, dir })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        self.process.log()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When that does not come, or when the report is none.
    pub async fn ended(mut self) -> Result<Ended> {
        let status = self.process.ended(PATIENCE).await?;
        let report = match std::fs::read_to_string(report_file(self.dir.path())) {
            Ok(text) => match json::parse(&text)? {
                Document::Run(report) => Some(*report),
                Document::Comparison(_) => bail!("a comparison, which nobody asked for"),
            },
            Err(_) => None,
        };
        Ok(Ended {
            code: status.code(),
            said: self.said(),
            report,
        })
    }
}

fn report_file(dir: &Path) -> PathBuf {
    dir.join("report.json")
}

/// The binary beside the test's own.
///
/// # Errors
/// When it is missing or older than its sources.
pub fn binary() -> Result<PathBuf> {
    built("campanile-bench", &["benches/src", "client/src", "common/src"])
}
