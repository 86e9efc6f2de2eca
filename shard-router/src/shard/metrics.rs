//! What is counted of each shard, the same for every implementation.

use std::future::Future;
use std::sync::Once;
use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::{ShardError, ShardFuture};
use crate::topology::ShardId;

/// Which operation of the trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Publish,
    Announce,
    History,
    RemoveHistory,
    Positions,
    RefreshPresence,
    RemovePresence,
    Presence,
    Subscribe,
    Unsubscribe,
    Probe,
    Fence,
    Owners,
    Wipe,
    NoteAdmitted,
    NoteDrained,
    Sealed,
    Records,
    Scan,
    Dirty,
    Copy,
    Restore,
    Clean,
    Usage,
}

impl Operation {
    const LABELS: [&'static str; 24] = [
        "publish",
        "announce",
        "history",
        "remove_history",
        "positions",
        "refresh_presence",
        "remove_presence",
        "presence",
        "subscribe",
        "unsubscribe",
        "probe",
        "fence",
        "owners",
        "wipe",
        "note_admitted",
        "note_drained",
        "sealed",
        "records",
        "scan",
        "dirty",
        "copy",
        "restore",
        "clean",
        "usage",
    ];
}

impl ShardError {
    const LABELS: [&'static str; 6] = [
        "not_owner",
        "unavailable",
        "unanswered",
        "overloaded",
        "refused",
        "malformed",
    ];

    fn index(&self) -> usize {
        match self {
            Self::NotOwner => 0,
            Self::Unavailable(_) => 1,
            Self::Unanswered(_) => 2,
            Self::Overloaded => 3,
            Self::Refused(_) => 4,
            Self::Malformed(_) => 5,
        }
    }
}

/// The handles of one shard's metrics.
pub(crate) struct ShardMetrics {
    requests: Vec<OperationCounters>,
    /// From handing a batch of commands to the connection to the last of their answers.
    pub(crate) round_trip: Histogram,
    /// Command connections that ended and were made anew.
    pub(crate) lane_breaks: Counter,
    /// Pub/Sub links that ended and were made anew.
    pub(crate) link_breaks: Counter,
    /// Links broken because the router did not keep up.
    pub(crate) link_overflows: Counter,
    /// Stored or received envelopes that were skipped because they are not understood.
    pub(crate) undecodable: Counter,
}

#[derive(Clone)]
struct OperationCounters {
    done: Counter,
    failed: [Counter; 6],
}

impl ShardMetrics {
    pub(crate) fn new(shard: &ShardId) -> Self {
        describe();
        let shard = shard.as_str().to_owned();
        let request = |operation: &'static str, outcome: &'static str| {
            counter!("campanile_shard_requests_total",
                "shard" => shard.clone(), "operation" => operation, "outcome" => outcome)
        };
        let broken = |connection: &'static str| {
            counter!("campanile_shard_reconnects_total",
                "shard" => shard.clone(), "connection" => connection)
        };
        let requests = Operation::LABELS.map(|operation| OperationCounters {
            done: request(operation, "ok"),
            failed: ShardError::LABELS.map(|outcome| request(operation, outcome)),
        });
        Self {
            requests: requests.into(),
            round_trip: histogram!("campanile_shard_round_trip_seconds", "shard" => shard.clone()),
            lane_breaks: broken("commands"),
            link_breaks: broken("pubsub"),
            link_overflows: counter!("campanile_shard_link_overflows_total", "shard" => shard.clone()),
            undecodable: counter!("campanile_shard_undecodable_total", "shard" => shard.clone()),
        }
    }

    /// Boxes `answer`, so that its outcome is counted when it is known.
    pub(crate) fn observe<T>(
        &self,
        operation: Operation,
        answer: impl Future<Output = Result<T, ShardError>> + Send + 'static,
    ) -> ShardFuture<T> {
        let counters = self.requests[operation as usize].clone();
        Box::pin(async move {
            let result = answer.await;
            match &result {
                Ok(_) => counters.done.increment(1),
                Err(error) => counters.failed[error.index()].increment(1),
            }
            result
        })
    }

    /// Notes how long a batch took.
    pub(crate) fn round_trip(&self, took: Duration) {
        self.round_trip.record(took.as_secs_f64());
    }
}

fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        describe_counter!(
            "campanile_shard_requests_total",
            Unit::Count,
            "Operations asked of a shard, by kind and outcome."
        );
        describe_histogram!(
            "campanile_shard_round_trip_seconds",
            Unit::Seconds,
            "Time from sending a batch of commands to a shard to having all answers."
        );
        describe_counter!(
            "campanile_shard_reconnects_total",
            Unit::Count,
            "Connections to a shard that broke and are made anew."
        );
        describe_counter!(
            "campanile_shard_link_overflows_total",
            Unit::Count,
            "Pub/Sub links broken on purpose because their messages came faster than they were handled."
        );
        describe_counter!(
            "campanile_shard_undecodable_total",
            Unit::Count,
            "Stored or received envelopes skipped because they are not understood."
        );
    });
}
