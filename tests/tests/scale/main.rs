//! The hooks, probes and start commands of the Kubernetes manifests, taken out of them and run against real gateways and
//! real Redis servers.
//!
//! There is no cluster here, so that the test does what one does, in its order: it starts pods, lists them in the DNS, runs the
//! hook of a pod that is to end, sends it SIGTERM, takes it off the list. What differs from a pod:
//!
//! - All pods share this machine. Each has a port of its own, and folders instead of `/data`, `/etc/redis` and `/run/redis`.
//! - `redis-cli` is one that adds the port, found first in the `PATH` of hooks and probes.
//! - No names of pods can be looked up. In the DNS they are as in a cluster; the template that makes URLs of them gives the
//!   address of this machine, and the name to the server as a user's, which only the right one has, with the rules of the user that
//!   gateways are.
//! - Shards that have left the DNS are given up after seconds, not a minute.

// What publishes and watches is the same as where shards come and go by command.
#[path = "../resharding/hand.rs"]
mod hand;
#[path = "../resharding/load.rs"]
mod load;

mod drained;
mod let_in;
mod pod;
mod probed;
mod restarted;
mod scaled;
mod world;
