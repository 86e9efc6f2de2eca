//! A child that ends with its parent, also when that is killed.
//!
//! Linux sends a process a signal when its parent ends, if the process itself has asked for that. A child that is some other
//! program does not ask; so the child is first this program again, which asks and then becomes the other one.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::Failure;

/// The subcommand that [`become_child`] is behind.
pub const SUBCOMMAND: &str = "guard";

/// The command that runs `program` as a child of this process that ends with it, or rather with the thread that starts it.
pub(super) fn command(program: &std::path::Path) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(SUBCOMMAND)
        .arg(std::process::id().to_string())
        .arg(program);
    // What the user types is meant for this process, which ends its children by itself.
    command.process_group(0);
    Ok(command)
}

/// Becomes `program`, to end with `parent`. Returns only if that is not possible.
#[must_use]
pub fn become_child(parent: u32, program: &[OsString]) -> Failure {
    let Some((program, arguments)) = program.split_first() else {
        return Failure::usage("no program");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Failure::run(format!("cannot follow the parent: {error}"));
    }
    // It may have ended before it was asked to tell.
    let alive = getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    if !alive {
        return Failure::run("the parent has ended");
    }
    let error = Command::new(program).args(arguments).exec();
    Failure::run(format!("{}: {error}", program.display()))
}
