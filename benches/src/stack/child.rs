//! A child process and its log.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use crate::Failure;

/// Lines of a log that are shown when something went wrong.
const TAIL: usize = 20;

/// A child process. It is killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    out: PathBuf,
    log: PathBuf,
    process: process::Child,
}

impl Child {
    /// Starts `command`, with its output in files `NAME.out` and `NAME.log` in `dir`.
    pub(super) fn start(name: &str, mut command: Command, dir: &Path) -> Result<Self, Failure> {
        let (out, log) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.log")));
        command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&log)?);
        let process = command.spawn();
        let process = process.map_err(|error| Failure::run(format!("cannot start {name}: {error}")))?;
        Ok(Self {
            name: name.to_owned(),
            out,
            log,
            process,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// What it has printed on standard output.
    pub(super) fn output(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// The end of its log, for people.
    pub(super) fn tail(&self, ended: bool) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let state = if ended { "has ended" } else { "runs" };
        let mut tail = String::new();
        if lines.is_empty() && !ended {
            return tail;
        }
        // Writing to a text cannot fail.
        let _ = write!(tail, "\n--- {} {state}; the end of its log:", self.name);
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            let _ = write!(tail, "\n{line}");
        }
        tail
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself, and is reaped either way.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
