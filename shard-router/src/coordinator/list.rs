//! The configured shards beside the topology's.

use std::collections::BTreeMap;
use std::fmt;

use crate::topology::{ShardId, Topology, WantedShard};

/// How a configured list differs from the topology's. The topology's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListDifference {
    /// Configured, but not in the topology: not used.
    pub unused: Vec<ShardId>,
    /// In the topology, but not configured: this gateway cannot reach them.
    pub unknown: Vec<ShardId>,
    /// Configured with another address, weight or durability than the topology's.
    pub changed: Vec<ShardId>,
}

impl ListDifference {
    /// The difference, if there is one.
    pub(super) fn between(configured: &BTreeMap<ShardId, WantedShard>, topology: &Topology) -> Option<Self> {
        let listed = &topology.shards;
        let without = |id: &&ShardId| !listed.contains_key(*id);
        let altered =
            |(id, shard): &(&ShardId, &WantedShard)| listed.get(*id).is_some_and(|entry| !shard.is(entry));
        let difference = Self {
            unused: configured.keys().filter(without).cloned().collect(),
            unknown: listed
                .keys()
                .filter(|id| !configured.contains_key(*id))
                .cloned()
                .collect(),
            changed: configured
                .iter()
                .filter(altered)
                .map(|(id, _)| id.clone())
                .collect(),
        };
        (difference != Self::default()).then_some(difference)
    }
}

impl fmt::Display for ListDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (what, shards) in [
            ("configured but not in the topology", &self.unused),
            ("in the topology but not configured", &self.unknown),
            ("configured otherwise than in the topology", &self.changed),
        ] {
            if !shards.is_empty() {
                let names: Vec<&str> = shards.iter().map(ShardId::as_str).collect();
                write!(f, "{separator}{what}: {}", names.join(", "))?;
                separator = "; ";
            }
        }
        Ok(())
    }
}
