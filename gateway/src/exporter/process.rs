//! The figures of this process, under the names that all programs use for them. As Linux tells them; elsewhere most are missing.

use std::fs;
use std::time::SystemTime;

use super::{Snapshot, Text};

/// What Linux counts processor time in towards programs, in parts of a second, on every machine that this is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Asks the system.
pub(super) struct Process {
    started: SystemTime,
}

impl Process {
    /// This process, which has just begun.
    pub(super) fn started_now() -> Self {
        Self {
            started: SystemTime::now(),
        }
    }
}

impl Snapshot for Process {
    fn write(&self, text: &mut Text) {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH);
        text.gauge(
            "process_start_time_seconds",
            "When this process began, in seconds since 1970",
        )
        .value(started.unwrap_or_default().as_secs_f64());
        if let Some(bytes) = resident_bytes() {
            text.gauge(
                "process_resident_memory_bytes",
                "Memory of this process that is not swapped out",
            )
            .value(bytes);
        }
        if let Some(seconds) = cpu_seconds() {
            text.counter(
                "process_cpu_seconds_total",
                "Processor time that this process has used",
            )
            .value(seconds);
        }
        if let Some(count) = open_fds() {
            text.gauge("process_open_fds", "File descriptors in use")
                .value(count);
        }
        if let Some(count) = max_fds() {
            text.gauge("process_max_fds", "File descriptors that this process may have")
                .value(count);
        }
    }
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    parse_cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// User's and system's time are fields 14 and 15; the name, field 2, may hold anything but ends with the last parenthesis.
fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_the_name) = stat.rsplit_once(')')?;
    let mut fields = behind_the_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn open_fds() -> Option<f64> {
    const FOLDER: &str = "/proc/self/fd";
    // Since Linux 6.2 that is the folder's size. Before, it has to be read, which takes a while for 100,000 connections.
    let count = match fs::metadata(FOLDER).ok()?.len() {
        0 => fs::read_dir(FOLDER).ok()?.count() as u64,
        size => size,
    };
    Some(count as f64)
}

fn max_fds() -> Option<f64> {
    parse_max_fds(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// The soft limit, which is the one that counts.
fn parse_max_fds(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b) 1 (c) R 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 9 0 100 1 2";
        assert_eq!(parse_cpu_seconds(stat), Some(1.75));
        assert_eq!(parse_cpu_seconds("7 (a) R 1"), None);
    }

    #[test]
    fn the_limit_is_the_soft_one() {
        let limits = "Limit            Soft Limit   Hard Limit   Units\n\
                      Max processes    100          200          processes\n\
                      Max open files   1024         524288       files\n";
        assert_eq!(parse_max_fds(limits), Some(1024.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_all_of_it() {
        for figure in [resident_bytes(), cpu_seconds(), open_fds(), max_fds()] {
            assert!(figure.is_some_and(|figure| figure >= 0.0), "{figure:?}");
        }
    }
}
