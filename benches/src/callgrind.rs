//! Instruction counts: a program is run under Valgrind's tool Callgrind, which counts what one function and all that it
//! calls execute.
//!
//! Counts do not depend on what else the machine does. The same binary gives the same count, but for what is random in it
//! (the keys of hash tables). Callgrind counts calls also while it is not told to watch, so that one profile says nothing about
//! them; the difference of two does, of which one has more runs. It leaves out what is done once, too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io, process};

/// What one function costs, and the way there where calls are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Instructions executed, in all functions that it calls too.
    pub instructions: u64,
    /// Calls of the allocator for memory.
    pub allocations: u64,
}

/// Why there is no count.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// Valgrind is not there.
    #[error("valgrind cannot be started: is it installed?")]
    Valgrind(#[source] io::Error),
    /// The program failed.
    #[error("{program} under valgrind: {status}\n{said}")]
    Failed {
        /// Which.
        program: PathBuf,
        /// How it ended.
        status: process::ExitStatus,
        /// What it wrote.
        said: String,
    },
    /// The profile cannot be read.
    #[error("the profile cannot be read")]
    Read(#[from] io::Error),
    /// The function was never called.
    #[error("the profile is empty: nothing was counted")]
    Empty,
}

impl Count {
    /// How much more this is than `less`.
    #[must_use]
    pub const fn beyond(self, less: Self) -> Self {
        Self {
            instructions: self.instructions.saturating_sub(less.instructions),
            allocations: self.allocations.saturating_sub(less.allocations),
        }
    }
}

/// Counts what functions whose name contains `function` do in a run of `program`.
pub fn count(program: &Path, arguments: &[&str], function: &str) -> Result<Count, CountError> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .args(["--collect-atstart=no", &format!("--toggle-collect=*{function}*")])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(arguments)
        .output()
        .map_err(CountError::Valgrind)?;
    if !output.status.success() {
        return Err(CountError::Failed {
            program: program.to_owned(),
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    let text = fs::read(&profile)?;
    parse(&String::from_utf8_lossy(&text)).ok_or(CountError::Empty)
}

/// What a profile says; `None` if it is empty.
fn parse(profile: &str) -> Option<Count> {
    let mut count = Count::default();
    let (mut within_allocator, mut allocates) = (false, false);
    for line in profile.lines() {
        let Some((key, value)) = line.split_once(['=', ':']) else {
            continue;
        };
        match key {
            "fn" => within_allocator = is_of_allocator(value),
            "cfn" => allocates = ALLOCATORS.contains(&value),
            // What the allocator asks itself for has been asked for already.
            "calls" if allocates && !within_allocator => count.allocations += first_number(value)?,
            "totals" => count.instructions = first_number(value)?,
            _ => {}
        }
    }
    (count.instructions > 0).then_some(count)
}

/// The functions of mimalloc that give memory, or more of it.
const ALLOCATORS: [&str; 6] = [
    "mi_malloc",
    "mi_malloc_aligned",
    "mi_realloc",
    "mi_realloc_aligned",
    "mi_zalloc",
    "mi_zalloc_aligned",
];

/// Whether a function belongs to mimalloc.
fn is_of_allocator(function: &str) -> bool {
    function.trim_start_matches('_').starts_with("mi_")
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir

fn=micro::counted
10 5
cfn=mi_malloc_aligned
calls=3 20
10 90
cfn=mi_free
calls=3 20
10 60

fn=mi_malloc_aligned
20 30
cfn=mi_malloc
calls=3 25
20 60

fn=serde_json::to_vec
7 100
cfn=mi_realloc
calls=2 9
7 40

totals: 385
";

    #[test]
    fn a_profile_says_how_much_was_executed_and_how_often_memory_was_asked_for() {
        let expected = Count {
            instructions: 385,
            allocations: 5,
        };
        assert_eq!(parse(PROFILE), Some(expected));
    }

    #[test]
    fn the_difference_of_two_counts_is_what_one_has_more() {
        let count = |instructions, allocations| Count {
            instructions,
            allocations,
        };
        assert_eq!(count(900, 7).beyond(count(400, 3)), count(500, 4));
    }

    #[test]
    fn a_profile_of_nothing_is_no_count() {
        assert_eq!(parse("events: Ir\ntotals: 0\n"), None);
        assert_eq!(parse(""), None);
    }
}
