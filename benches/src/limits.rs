//! How many files this process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;

/// Files that are open beside connections.
const OTHERS: u64 = 200;

/// Raises the limit of open files as far as this process may; children inherit it.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If it cannot be raised, `check_open_files` says so to whoever needs it.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Whether one process may have this many connections; `otherwise`: what the user can do but raise the limit.
pub fn check_open_files(connections: usize, otherwise: &str) -> Result<(), Failure> {
    let needed = connections as u64 + OTHERS;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(Failure::usage(format!(
            "{connections} connections in one process need {needed} open files, but {limit} are allowed: \
             raise the limit (`ulimit -n {needed}` in the shell, as root if it is the hard one), or {otherwise}"
        ))),
        _ => Ok(()),
    }
}
