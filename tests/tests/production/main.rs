//! The overlay `production` with real Redis servers and real Sentinels: its configuration files, start scripts, hooks and probes,
//! as `kubectl kustomize` renders them.
//!
//! There is no cluster here; the test does what one does. Every pod has an address of its own, another one after each start, at
//! which the manifests' ports are free, and a name that leads there as long as there is a pod ([`campanile_tests::island`]). What
//! differs from a pod: all share this machine's file system, so that each has folders instead of `/data` and the like; each listens
//! at its own address instead of all of its pod's; and the first to be asked by `redis-cli` is who listens there.

// What publishes and watches is the same as where shards come and go by command.
#[path = "../resharding/hand.rs"]
mod hand;
#[path = "../resharding/load.rs"]
mod load;

mod failed_over;
mod pod;
mod scaled;
mod world;
