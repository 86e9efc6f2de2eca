//! Load clients: small ones, of which a process holds thousands.
//!
//! A [`Swarm`] connects one client for each number of this worker's share, at the plan's pace, and each client tells its
//! [`Listener`] what happens to it. A listener belongs to its client alone and is called by the client's own task, so it
//! needs no locks; it comes back when the swarm [finishes](Swarm::finish).

mod connection;
mod listener;
mod live;
mod member;
mod sources;
mod status;
mod swarm;
mod task;

pub(crate) use connection::{Connection, Event};
pub use listener::{Listener, Next};
pub use member::{Member, Order};
pub use swarm::{Ended, Swarm};
