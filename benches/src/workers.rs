//! The controller and its workers.
//!
//! A worker carries out its share of a scenario; the controller leads all of them through the phases together, watches the
//! server's processes, and adds up what they recorded. A worker is a task of the same process, a child process, or a process
//! on another machine; they all speak the same messages.

mod controller;
mod crew;
mod door;
mod protocol;
mod wire;
mod worker;

pub use crew::{Crew, CrewOptions};
pub use door::join;
pub use protocol::{FromWorker, ToWorker, VERSION};
pub use worker::over_stdio;
