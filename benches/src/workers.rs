//! The controller and its workers.
//!
//! A worker carries out its share of a scenario; the controller leads all of them through the phases together, watches the
//! server's processes, and adds up what they recorded. A worker is a task of the same process, a child process, or a process
//! on another machine; they all speak the same messages.

mod controller;
mod protocol;
mod worker;

pub(crate) use controller::Controller;
pub use protocol::{FromWorker, ToWorker, VERSION};
pub(crate) use worker::serve;
