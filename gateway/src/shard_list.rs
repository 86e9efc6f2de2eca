//! The list of shards: where it comes from while the gateway runs, and how it gets into the topology.
//!
//! - [`file`], [`reload`]: the configuration file, watched, and what is taken over of it;
//! - [`dns`], [`sightings`], [`resolver`]: a name in the DNS, what its answers mean, asking for it;
//! - [`notes`]: what operators should know of it.

pub mod dns;
pub mod file;
pub mod notes;
pub mod reload;
pub mod resolver;
pub mod sightings;
