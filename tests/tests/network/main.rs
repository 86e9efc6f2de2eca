//! What can be seen only over a network: connections across emulated links between network namespaces.
//!
//! `link` holds the links themselves to what they promise. The others show what transports make of a network: `lanes` how
//! long publications are under way where packets are lost, `datagrams` what becomes of those in datagrams, `migration`
//! that a client may change its address, `connecting` how long it takes to be connected, `memory` what a connection costs.
//! What they measure they print; what they assert does not depend on how fast the machine is.

mod connecting;
mod datagrams;
mod lanes;
mod link;
mod memory;
mod migration;
mod nat;
mod world;
