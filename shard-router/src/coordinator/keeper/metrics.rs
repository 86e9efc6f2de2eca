//! What is measured of one shard's keeper.

use metrics::{Counter, Unit, counter, describe_counter};

use crate::topology::ShardId;

/// The handles, registered once for each keeper.
pub(super) struct KeeperMetrics {
    pub(super) admissions: Counter,
    pub(super) evictions: Counter,
}

impl KeeperMetrics {
    pub(super) fn register(shard: &ShardId) -> Self {
        const ADMISSIONS: &str = "campanile_shard_admissions_total";
        const EVICTIONS: &str = "campanile_shard_evictions_total";
        describe_counter!(
            ADMISSIONS,
            Unit::Count,
            "Incarnations of a shard, or data found exchanged under one, that this gateway's coordinator admitted"
        );
        describe_counter!(
            EVICTIONS,
            Unit::Count,
            "How often this gateway's coordinator gave a shard up that owned partitions, and opened these elsewhere"
        );
        Self {
            admissions: counter!(ADMISSIONS, "shard" => shard.to_string()),
            evictions: counter!(EVICTIONS, "shard" => shard.to_string()),
        }
    }
}
