//! The list of shards: where it comes from while the gateway runs, and how it gets into the topology. The configuration file is
//! one source ([`reload`](crate::reload)); the DNS is another:
//!
//! - [`resolver`], [`dns`], [`sightings`], [`discovery`]: asking the DNS, what an answer says, what several say, and doing it
//!   while this gateway coordinates;
//! - [`lists`]: which of these lists count;
//! - [`proposer`]: proposes them until the store has answered;
//! - [`notes`]: what operators should know of all this.

pub mod discovery;
pub mod dns;
pub mod lists;
pub mod notes;
pub mod proposer;
pub mod resolver;
pub mod sightings;

#[cfg(test)]
pub(crate) mod testing;
