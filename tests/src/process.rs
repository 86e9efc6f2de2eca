//! A child process: signals, its log, its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How much of a log is printed when a test fails.
const LOG_TAIL: usize = 8 * 1024;

/// A running (or ended) child process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` with its standard output and standard error in files `NAME.out` and `NAME.log` in `dir`.
    ///
    /// An earlier process's log of that name is appended to.
    pub fn start(name: &str, dir: &Path, mut command: Command) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::create(dir.join(format!("{name}.out"))).context("creating the output file")?;
        let err = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context("creating the log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            log,
            child,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has printed on standard output so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.log.with_extension("out")).unwrap_or_default()
    }

    /// What the process has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether the process still runs; a paused one does.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGSTOP: the process keeps its sockets and answers nothing until [`resume`](Self::resume).
    ///
    /// Returns when all its threads have stopped: a signal sent is not one that has arrived.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let ended_or_stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // A child that is no longer there needs no waiting for.
        let _ = waitid(WaitId::Pid(self.pid()), ended_or_stopped);
    }

    /// SIGCONT, the end of a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        // It may have ended by itself, and is reaped either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When the process has not ended after `deadline`; it then still runs.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.ask_to_end();
        self.ended(deadline).await.context("after SIGTERM")
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the process has not ended after `deadline`; it then still runs.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{} did not end within {deadline:?}", self.name)
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1024)
    }

    fn signal(&self, signal: Signal) {
        // The child has not been waited for by anyone else, so the id is still its own; if it has ended, nothing happens.
        let _ = kill_process(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        let id = i32::try_from(self.id()).ok();
        id.and_then(Pid::from_raw).expect("a child has a positive id")
    }

    #[expect(clippy::print_stderr, reason = "the test runner shows it for tests that fail")]
    fn print_log(&self) {
        let log = self.log();
        let mut from = log.len().saturating_sub(LOG_TAIL);
        while !log.is_char_boundary(from) {
            from += 1;
        }
        eprintln!("--- end of the log of {}\n{}---", self.name, &log[from..]);
    }
}

/// Writes a program of the shell, which may be started at once.
///
/// It is another process that writes it: what this one has open for writing is inherited by whatever another thread starts at that
/// moment, and as long as anybody has a file open for writing the system does not run it.
pub fn write_script(file: &Path, text: &str) -> Result<()> {
    let status = Command::new("/bin/sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"",
        ])
        .arg(file)
        .arg(text)
        .status()?;
    ensure!(status.success(), "writing {}: {status}", file.display());
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Whether the test has failed is not known here: it may have, by returning an error.
        self.print_log();
    }
}
