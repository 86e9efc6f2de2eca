//! What is counted about handshakes.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// How the beginning of a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The client has begun.
    Begun,
    /// It was asked to prove its address, and perhaps comes again.
    Retry,
    /// Too many were about to begin.
    Refused,
    /// The gateway is ending.
    Shutdown,
    /// The handshake failed: no common protocol, no trust in the certificate, or the client vanished.
    Failed,
    /// It left after the handshake, and before it began.
    Left,
    /// It did not begin in time.
    Stale,
    /// It began with something else than the protocol says.
    Malformed,
    /// The gateway takes no more connections.
    NoPlace,
}

impl Outcome {
    const ALL: [Self; 9] = [
        Self::Begun,
        Self::Retry,
        Self::Refused,
        Self::Shutdown,
        Self::Failed,
        Self::Left,
        Self::Stale,
        Self::Malformed,
        Self::NoPlace,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Retry => "retry",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Left => "left",
            Self::Stale => "stale",
            Self::Malformed => "malformed",
            Self::NoPlace => "no_place",
        }
    }
}

/// The handles of all metrics about handshakes, registered once.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    outcomes: [Counter; Outcome::ALL.len()],
    /// Connections whose first message came with the first packets.
    pub(super) early: Counter,
    /// Connections that are about to begin.
    pub(super) beginning: Gauge,
}

impl Counters {
    /// The metrics of the installed recorder.
    pub(super) fn register() -> Self {
        describe_counter!(
            "campanile_quic_handshakes_total",
            "Attempts to begin a QUIC connection, by how they went."
        );
        describe_counter!(
            "campanile_quic_early_connections_total",
            "Native QUIC connections that began with their first packets (0-RTT)."
        );
        describe_gauge!(
            "campanile_quic_handshakes",
            "QUIC connections that are about to begin."
        );
        Self {
            outcomes: Outcome::ALL
                .map(|outcome| counter!("campanile_quic_handshakes_total", "outcome" => outcome.label())),
            early: counter!("campanile_quic_early_connections_total"),
            beginning: gauge!("campanile_quic_handshakes"),
        }
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].increment(1);
    }
}
