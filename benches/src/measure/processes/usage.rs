//! What one process has used so far, read from `/proc`.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::secrets;

/// CPU time since the process began, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds of CPU in the program's own code.
    pub user_seconds: f64,
    /// Seconds of CPU in the kernel on its behalf.
    pub system_seconds: f64,
    /// Bytes of memory that are not swapped out, those shared with other processes included.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u32,
}

/// How closely to look at a process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The kernel's running count: cheap, and up to some dozen pages for each processor behind.
    Counted,
    /// A walk over all pages: exact, but it holds up the process for a millisecond or so for each gigabyte.
    Walked,
}

impl Usage {
    /// Of the process `pid`.
    ///
    /// # Errors
    ///
    /// When there is no such process any more, or its files in `/proc` are not what they are known to be.
    pub fn of(pid: u32, memory: Memory) -> io::Result<Self> {
        let stat = Stat::of(pid)?;
        let pages = parse_resident_pages(&fs::read_to_string(format!("/proc/{pid}/statm"))?)
            .ok_or_else(|| malformed(pid, "statm"))?;
        let mut usage = Self {
            user_seconds: seconds(stat.user_ticks),
            system_seconds: seconds(stat.system_ticks),
            resident_bytes: pages * rustix::param::page_size() as u64,
            threads: stat.threads,
        };
        // Another user's process: the running count must do.
        if memory == Memory::Walked
            && let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        {
            usage.resident_bytes = rollup_bytes(&rollup, "Rss:").unwrap_or(usage.resident_bytes);
        }
        Ok(usage)
    }

    /// Seconds of CPU, in the program and in the kernel.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }
}

/// What is wanted of `/proc/PID/stat`.
pub(crate) struct Stat {
    user_ticks: u64,
    system_ticks: u64,
    threads: u32,
    /// Ticks since boot: tells a process from a later one that got its number.
    pub(crate) started: u64,
}

impl Stat {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| malformed(pid, "stat"))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may itself contain spaces and parentheses.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        // proc(5) counts from 1, and the first two are cut off.
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            user_ticks: field(14)?.parse().ok()?,
            system_ticks: field(15)?.parse().ok()?,
            threads: field(20)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
        })
    }
}

/// The command line of a process without its secrets, its arguments joined by spaces.
pub(crate) fn command_of(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let words = text.trim_end_matches('\0').split('\0').map(str::to_owned);
    secrets::command(words).join(" ")
}

fn parse_resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn rollup_bytes(rollup: &str, field: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn seconds(ticks: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for centuries of CPU time")]
    let ticks = ticks as f64;
    #[expect(clippy::cast_precision_loss, reason = "it is 100 on every Linux")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    ticks / per_second
}

fn malformed(pid: u32, file: &str) -> io::Error {
    let reason = format!("/proc/{pid}/{file} is not in the known form");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
