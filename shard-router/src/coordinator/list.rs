//! The configured shards beside those that count.

use std::collections::BTreeMap;
use std::fmt;

use super::options::ManagedBy;
use crate::topology::{ShardId, Topology, WantedShard};

/// How a configured list differs from the one that counts: the last proposed one where files are proposed, else the
/// topology's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListDifference {
    /// Configured, but not in the topology: not used.
    pub unused: Vec<ShardId>,
    /// In the topology, but not configured.
    pub unknown: Vec<ShardId>,
    /// Configured with another address, weight or durability than the topology's.
    pub changed: Vec<ShardId>,
}

impl ListDifference {
    /// The difference, if there is one that matters: a list that is empty, or beside a name in the DNS, is not meant to
    /// be complete.
    pub(super) fn between(
        configured: &BTreeMap<ShardId, WantedShard>,
        managed_by: ManagedBy,
        topology: &Topology,
    ) -> Option<Self> {
        if managed_by == ManagedBy::Dns || configured.is_empty() {
            return None;
        }
        let counting = counting(managed_by, topology);
        let without = |id: &&ShardId| !counting.contains_key(*id);
        let altered = |(id, shard): &(&ShardId, &WantedShard)| {
            counting
                .get(*id)
                .is_some_and(|described| *described != description(shard))
        };
        let difference = Self {
            unused: configured.keys().filter(without).cloned().collect(),
            unknown: counting
                .keys()
                .filter(|id| !configured.contains_key(**id))
                .map(|id| (*id).clone())
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

/// What tells whether two descriptions are of the same shard. How to get in is each gateway's own business.
type Description<'a> = (&'a str, u32, bool);

fn description(shard: &WantedShard) -> Description<'_> {
    (&shard.address, shard.weight, shard.durable)
}

/// The shards that count.
fn counting(managed_by: ManagedBy, topology: &Topology) -> BTreeMap<&ShardId, Description<'_>> {
    match &topology.wanted {
        Some(wanted) if managed_by == ManagedBy::File => wanted
            .iter()
            .map(|(id, shard)| (id, description(shard)))
            .collect(),
        _ => topology
            .shards
            .iter()
            .map(|(id, entry)| (id, (entry.address.as_str(), entry.weight, entry.durable)))
            .collect(),
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
