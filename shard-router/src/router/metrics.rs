//! What the router counts. Labels are closed sets: never a channel, never a client.

use std::sync::Once;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::moves::Arrival;
use crate::audience::LossReason;
use crate::feed::{Read, Reception, RecoveryOutcome};

/// The handles of the router's metrics.
pub(super) struct RouterMetrics {
    pub(super) generation: Gauge,
    pub(super) channels: Gauge,
    /// Recoveries that shared a read asked for by another subscriber.
    pub(super) single_flight_hits: Counter,
    /// Recoveries answered without a read.
    pub(super) window_hits: Counter,
    pub(super) checks: Counter,
    pub(super) checks_differed: Counter,
    pub(super) interruptions: Counter,
    pub(super) publish_retries: Counter,
    pub(super) publish_timeouts: Counter,
    pub(super) publish_overflows: Counter,
    pub(super) stale_publications: Counter,
    pub(super) presence_failures: Counter,
    recovery_reads: Counter,
    heal_reads: Counter,
    position_reads: Counter,
    recovered: Counter,
    not_recovered: [Counter; LossReason::ALL.len()],
    losses: [Counter; LossReason::ALL.len()],
    received: [Counter; 8],
    publish_accepted: Histogram,
    publish_failed: Histogram,
}

impl RouterMetrics {
    pub(super) fn register() -> Self {
        describe();
        let read = |kind: Read| counter!("campanile_stream_reads_total", "kind" => kind.label());
        let waits =
            |outcome: &'static str| counter!("campanile_publications_waited_total", "outcome" => outcome);
        let received =
            |outcome: &'static str| counter!("campanile_messages_received_total", "outcome" => outcome);
        let publish_seconds =
            |outcome: &'static str| histogram!("campanile_publish_seconds", "outcome" => outcome);
        Self {
            generation: gauge!("campanile_topology_generation"),
            channels: gauge!("campanile_channels_subscribed"),
            single_flight_hits: counter!("campanile_recovery_single_flight_hits_total"),
            window_hits: counter!("campanile_recovery_window_hits_total"),
            checks: counter!("campanile_position_checks_total"),
            checks_differed: counter!("campanile_position_checks_differed_total"),
            interruptions: counter!("campanile_channels_interrupted_total"),
            publish_retries: waits("retried"),
            publish_timeouts: waits("timed_out"),
            publish_overflows: waits("overflowed"),
            stale_publications: counter!("campanile_stale_publications_refused_total"),
            presence_failures: counter!("campanile_presence_refresh_failures_total"),
            recovery_reads: counter!("campanile_recovery_reads_total"),
            heal_reads: read(Read::After(campanile_common::Offset::ZERO)),
            position_reads: read(Read::Position),
            recovered: counter!("campanile_recoveries_total", "outcome" => "recovered"),
            not_recovered: LossReason::ALL
                .map(|reason| counter!("campanile_recoveries_total", "outcome" => reason.label())),
            losses: LossReason::ALL
                .map(|reason| counter!("campanile_continuity_losses_total", "reason" => reason.label())),
            received: [
                "passed",
                "duplicate",
                "held",
                "overflowed",
                "ignored",
                "stray",
                "held_back",
                "dropped",
            ]
            .map(received),
            publish_accepted: publish_seconds("accepted"),
            publish_failed: publish_seconds("failed"),
        }
    }

    /// A publication has its answer, so long after it came.
    pub(super) fn published(&self, took: Duration, accepted: bool) {
        let seconds = if accepted {
            &self.publish_accepted
        } else {
            &self.publish_failed
        };
        seconds.record(took.as_secs_f64());
    }

    /// A read is about to be sent.
    pub(super) fn read(&self, read: Read) {
        let counter = match read {
            Read::Position => &self.position_reads,
            Read::After(_) => &self.heal_reads,
            Read::Recent => &self.recovery_reads,
        };
        counter.increment(1);
    }

    /// A subscriber that asked to recover was answered.
    pub(super) fn recovered(&self, outcome: RecoveryOutcome) {
        match outcome {
            RecoveryOutcome::Recovered => self.recovered.increment(1),
            RecoveryOutcome::Lost(reason) => self.not_recovered[index(reason)].increment(1),
        }
    }

    /// A channel's subscribers were told that continuity is lost.
    pub(super) fn lost(&self, reason: LossReason) {
        self.losses[index(reason)].increment(1);
    }

    /// A message arrived. What is held back is counted when it comes, and as dropped if it is dropped later.
    pub(super) fn received(&self, arrival: Arrival) {
        let (index, count) = match arrival {
            Arrival::Received(Reception::Passed) => (0, 1),
            Arrival::Received(Reception::Duplicate) => (1, 1),
            Arrival::Received(Reception::Held) => (2, 1),
            Arrival::Received(Reception::Overflowed) => (3, 1),
            Arrival::Received(Reception::Ignored) => (4, 1),
            Arrival::Stray => (5, 1),
            Arrival::HeldBack => (6, 1),
            Arrival::Dropped(count) => (7, count as u64),
        };
        self.received[index].increment(count);
    }
}

fn index(reason: LossReason) -> usize {
    LossReason::ALL
        .iter()
        .position(|known| *known == reason)
        .unwrap_or(0)
}

fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        describe_gauge!(
            "campanile_topology_generation",
            "The topology generation that is applied."
        );
        describe_gauge!(
            "campanile_channels_subscribed",
            "Channels with subscribers on this gateway."
        );
        describe_histogram!(
            "campanile_publish_seconds",
            Unit::Seconds,
            "Time from taking a publication until its shard has taken it, or until it has failed."
        );
        for (name, help) in COUNTERS {
            describe_counter!(name, Unit::Count, help);
        }
    });
}

const COUNTERS: [(&str, &str); 13] = [
    (
        "campanile_recovery_reads_total",
        "Reads of a stream's recent publications for returning subscribers.",
    ),
    (
        "campanile_recovery_single_flight_hits_total",
        "Recoveries that shared another subscriber's read.",
    ),
    (
        "campanile_recovery_window_hits_total",
        "Recoveries answered from the recent window, without a read.",
    ),
    (
        "campanile_recoveries_total",
        "Subscribers that asked to recover, by what they were told.",
    ),
    (
        "campanile_continuity_losses_total",
        "Channels whose subscribers had to subscribe again, by reason.",
    ),
    (
        "campanile_stream_reads_total",
        "Reads of positions and of gaps, by kind.",
    ),
    (
        "campanile_position_checks_total",
        "Positions of channels compared with their owners'.",
    ),
    (
        "campanile_position_checks_differed_total",
        "Of these, how many were not what had been delivered.",
    ),
    (
        "campanile_channels_interrupted_total",
        "Channels without a stream whose subscription broke: messages may be lost.",
    ),
    (
        "campanile_publications_waited_total",
        "Publications that waited for an owner, by outcome.",
    ),
    (
        "campanile_stale_publications_refused_total",
        "Publications that a shard refused because it does not serve their partition (any more); they are tried elsewhere.",
    ),
    (
        "campanile_messages_received_total",
        "Messages received from shards, by what became of them.",
    ),
    (
        "campanile_presence_refresh_failures_total",
        "Presence entries that could not be refreshed in time.",
    ),
];
