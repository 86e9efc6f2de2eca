//! Many clients.

use campanile_client::Closed;

use super::{Listener, Member};
use crate::Failure;
use crate::run::Run;

/// Many clients, this worker's share of the plan's.
#[derive(Debug)]
pub struct Swarm<L> {
    members: Vec<Member>,
    ended: Vec<Ended<L>>,
}

/// A client that has come to its end.
#[derive(Debug)]
pub struct Ended<L> {
    /// Its number, over all workers.
    pub number: usize,
    /// Its listener.
    pub listener: L,
    /// Why it has no connection, if the server or the network ended that.
    pub closed: Option<Closed>,
}

impl<L: Listener> Swarm<L> {
    /// Connects this worker's share of the plan's clients, at the plan's pace, each with the listener of its number, and waits
    /// until all are ready.
    ///
    /// Notes how long each took, from when it was meant to begin, as the latency `connect`.
    pub async fn connect(run: &Run, listener: impl Fn(usize) -> L) -> Result<Self, Failure> {
        let _ = (run, listener, super::sources::of(0));
        std::future::ready(Err(Failure::run("clients cannot connect yet"))).await
    }

    /// The clients, in the order of their numbers.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many of them are ready now.
    #[must_use]
    pub fn ready(&self) -> usize {
        0
    }

    /// Ends all connections and gives the listeners back, in the order of their numbers.
    pub async fn finish(self) -> Vec<Ended<L>> {
        std::future::ready(self.ended).await
    }
}
