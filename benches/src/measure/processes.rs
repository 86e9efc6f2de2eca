//! CPU time and memory of processes on this machine, as Linux accounts for them.
//!
//! CPU time is what the kernel charged the process with, in its own code and on its behalf (system calls, the network stack
//! as far as it runs for that process). It does not depend on how busy the machine is, unlike every time that is read off a
//! clock. What the kernel does on nobody's account, such as serving interrupts, is missing in it.
//!
//! - [`find`]: which processes listen at an address.
//! - [`usage`]: what one process has used so far.
//! - [`watch`]: all of a run's processes, sampled as it goes on and at its marks.

pub mod find;
pub mod usage;
pub mod watch;

pub use find::{NotFound, listening_at, of};
pub use usage::{Memory, Usage};
pub use watch::{ProcessUse, Sample, Watched, Watcher};

#[cfg(test)]
mod tests;
