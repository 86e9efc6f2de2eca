//! What is measured of moves.

use std::time::SystemTime;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::mover::Abandonment;

/// The handles, registered once for each term.
#[derive(Clone)]
pub(super) struct MoveMetrics {
    partitions: Counter,
    pub(super) bytes: Counter,
    /// From the seal until the partition is open at its target.
    pub(super) pause: Histogram,
    pub(super) left: Gauge,
    last: Gauge,
    barrier: Counter,
    target_lost: Counter,
    target_silent: Counter,
    overtaken: Counter,
}

impl MoveMetrics {
    pub(super) fn register() -> Self {
        const PARTITIONS: &str = "campanile_partitions_moved_total";
        const BYTES: &str = "campanile_move_bytes_total";
        const PAUSE: &str = "campanile_move_pause_seconds";
        const LEFT: &str = "campanile_moves_left";
        const ABANDONED: &str = "campanile_moves_abandoned_total";
        const LAST: &str = "campanile_last_move_timestamp_seconds";
        describe_counter!(
            PARTITIONS,
            Unit::Count,
            "Partitions that this gateway's coordinator has brought to another shard"
        );
        describe_counter!(
            BYTES,
            Unit::Bytes,
            "Bytes that this gateway's coordinator has copied between shards"
        );
        describe_histogram!(
            PAUSE,
            Unit::Seconds,
            "How long a moving partition accepted no publication: from the seal until it was open at its target"
        );
        describe_gauge!(
            LEFT,
            "Partitions that are planned to move or moving, as the acting coordinator sees it"
        );
        describe_gauge!(
            LAST,
            Unit::Seconds,
            "When this gateway's coordinator last finished a move, in seconds since 1970"
        );
        describe_counter!(
            ABANDONED,
            Unit::Count,
            "Moves of partitions that this gateway's coordinator abandoned, by reason"
        );
        let abandoned = |reason: &'static str| counter!(ABANDONED, "reason" => reason);
        Self {
            partitions: counter!(PARTITIONS),
            bytes: counter!(BYTES),
            pause: histogram!(PAUSE),
            left: gauge!(LEFT),
            last: gauge!(LAST),
            barrier: abandoned("barrier"),
            target_lost: abandoned("target_lost"),
            target_silent: abandoned("target_silent"),
            overtaken: abandoned("overtaken"),
        }
    }

    pub(super) fn moved(&self, partitions: usize) {
        self.partitions.increment(partitions as u64);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.last.set(now.unwrap_or_default().as_secs_f64());
    }

    pub(super) fn abandoned(&self, partitions: usize, why: &Abandonment) {
        let counter = match why {
            Abandonment::Barrier { .. } => &self.barrier,
            Abandonment::TargetLost(_) => &self.target_lost,
            Abandonment::TargetSilent(_) => &self.target_silent,
            Abandonment::Overtaken => &self.overtaken,
        };
        counter.increment(partitions as u64);
    }
}
