//! What is counted about connections.

use std::sync::Arc;

use campanile_common::{Codec, ErrorCode};
use campanile_shard_router::audience::LossReason;
use metrics::{Counter, Gauge, Unit};

use super::CloseReason;
use super::delivery::DeliveryMeter;
use crate::registry::Refusal;
use crate::transport::TransportKind;

/// The handles of all metrics about connections, registered once.
#[derive(Clone, Debug)]
pub struct Counters {
    connections: PerKind<Gauge>,
    opened: PerKind<Counter>,
    closed: Vec<(&'static str, Counter)>,
    refused: Vec<(Refused, Counter)>,
    frames_received: [Counter; CODECS],
    bytes_received: [Counter; CODECS],
    sent: SentCounters,
    bad_frames: [Counter; CODECS],
    errors: Vec<(u32, Counter)>,
    other_errors: Counter,
    lost: Vec<(LossReason, Counter)>,
    /// Subscriptions of this gateway's clients.
    pub subscriptions: Gauge,
    /// What goes on other ways than behind the replies.
    pub lanes: Arc<LaneCounters>,
    /// How long deliveries take.
    pub delivery: Arc<DeliveryMeter>,
}

/// The handles of the metrics about what is sent.
#[derive(Clone, Debug)]
struct SentCounters {
    messages: [Counter; CODECS],
    writes: [Counter; CODECS],
    bytes: [Counter; CODECS],
}

/// The handles of the metrics about streams and datagrams of single subscriptions.
#[derive(Debug)]
pub struct LaneCounters {
    sent: SentCounters,
    refused: Counter,
    datagrams_sent: Counter,
    datagrams_too_large: Counter,
    datagrams_dropped: Counter,
}

const CODECS: usize = Codec::ALL.len();

/// A value for each transport and codec.
type PerKind<T> = [[T; CODECS]; TransportKind::ALL.len()];

/// Why a request did not become a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The page's origin is not allowed.
    Origin,
    /// The handshake is malformed.
    Handshake,
    /// The gateway takes no more.
    Admission(Refusal),
}

impl Refused {
    fn all() -> impl Iterator<Item = Self> {
        Refusal::ALL
            .into_iter()
            .map(Self::Admission)
            .chain([Self::Origin, Self::Handshake])
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Handshake => "handshake",
            Self::Admission(refusal) => refusal.label(),
        }
    }
}

impl Counters {
    /// The metrics of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        describe();
        Self {
            connections: per_kind(
                |transport, codec| metrics::gauge!("campanile_connections", "transport" => transport, "codec" => codec),
            ),
            opened: per_kind(
                |transport, codec| metrics::counter!("campanile_connections_opened_total", "transport" => transport, "codec" => codec),
            ),
            closed: CloseReason::labels()
                .map(|label| {
                    (
                        label,
                        metrics::counter!("campanile_connections_closed_total", "reason" => label),
                    )
                })
                .collect(),
            refused: Refused::all()
                .map(|refused| {
                    (
                        refused,
                        metrics::counter!("campanile_connections_refused_total", "reason" => refused.label()),
                    )
                })
                .collect(),
            frames_received: per_codec("campanile_frames_received_total"),
            bytes_received: per_codec("campanile_received_bytes_total"),
            sent: SentCounters::register(),
            bad_frames: per_codec("campanile_decode_errors_total"),
            errors: ErrorCode::ALL
                .map(ErrorCode::code)
                .map(|code| (code, error_counter(code.to_string())))
                .into(),
            other_errors: error_counter("other".to_owned()),
            lost: LossReason::ALL
                .map(|reason| {
                    (
                        reason,
                        metrics::counter!("campanile_subscriptions_lost_total", "reason" => reason.label()),
                    )
                })
                .into(),
            subscriptions: metrics::gauge!("campanile_subscriptions"),
            lanes: Arc::new(LaneCounters::register()),
            delivery: Arc::new(DeliveryMeter::register()),
        }
    }

    pub(super) fn opened(&self, transport: TransportKind, codec: Codec) {
        self.connections[transport.index()][codec.index()].increment(1);
        self.opened[transport.index()][codec.index()].increment(1);
    }

    pub(super) fn closed(&self, transport: TransportKind, codec: Codec, reason: &CloseReason) {
        self.connections[transport.index()][codec.index()].decrement(1);
        increment(&self.closed, &reason.label());
    }

    pub(super) fn refused(&self, refused: Refused) {
        increment(&self.refused, &refused);
    }

    pub(super) fn received(&self, codec: Codec, bytes: usize) {
        self.frames_received[codec.index()].increment(1);
        self.bytes_received[codec.index()].increment(bytes as u64);
    }

    pub(super) fn sent(&self, codec: Codec, messages: usize, bytes: usize) {
        self.sent.count(codec, messages, bytes);
    }

    pub(super) fn bad_frame(&self, codec: Codec) {
        self.bad_frames[codec.index()].increment(1);
    }

    pub(super) fn error(&self, code: u32) {
        let known = self.errors.iter().find(|(known, _)| *known == code);
        known
            .map_or(&self.other_errors, |(_, counter)| counter)
            .increment(1);
    }

    pub(super) fn lost(&self, reason: LossReason) {
        increment(&self.lost, &reason);
    }
}

impl SentCounters {
    fn register() -> Self {
        Self {
            messages: per_codec("campanile_messages_sent_total"),
            writes: per_codec("campanile_writes_total"),
            bytes: per_codec("campanile_sent_bytes_total"),
        }
    }

    fn count(&self, codec: Codec, messages: usize, bytes: usize) {
        self.writes[codec.index()].increment(1);
        self.messages[codec.index()].increment(messages as u64);
        self.bytes[codec.index()].increment(bytes as u64);
    }
}

impl LaneCounters {
    /// The metrics of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        const DATAGRAMS: &str = "campanile_quic_datagrams_total";
        metrics::describe_counter!(
            DATAGRAMS,
            "Publications for clients that take datagrams: sent, too large and sent on a stream, or dropped because newer \
             ones waited."
        );
        metrics::describe_counter!(
            "campanile_quic_streams_refused_total",
            "Subscriptions that share the control stream because their client takes no more streams."
        );
        let datagrams = |outcome: &'static str| metrics::counter!(DATAGRAMS, "outcome" => outcome);
        Self {
            sent: SentCounters::register(),
            refused: metrics::counter!("campanile_quic_streams_refused_total"),
            datagrams_sent: datagrams("sent"),
            datagrams_too_large: datagrams("too_large"),
            datagrams_dropped: datagrams("dropped"),
        }
    }

    /// So much was written at once.
    pub fn sent(&self, codec: Codec, messages: usize, bytes: usize) {
        self.sent.count(codec, messages, bytes);
    }

    /// A subscription got no stream.
    pub fn refused(&self) {
        self.refused.increment(1);
    }

    /// A publication went as a datagram.
    pub fn datagram_sent(&self) {
        self.datagrams_sent.increment(1);
    }

    /// A publication was too large for a datagram.
    pub fn too_large(&self) {
        self.datagrams_too_large.increment(1);
    }

    /// So many publications were dropped.
    pub fn dropped(&self, count: u64) {
        self.datagrams_dropped.increment(count);
    }
}

fn increment<K: PartialEq>(counters: &[(K, Counter)], key: &K) {
    if let Some((_, counter)) = counters.iter().find(|(known, _)| known == key) {
        counter.increment(1);
    }
}

fn per_codec(name: &'static str) -> [Counter; CODECS] {
    Codec::ALL.map(|codec| metrics::counter!(name, "codec" => codec.label()))
}

fn per_kind<T>(make: impl Fn(&'static str, &'static str) -> T) -> PerKind<T> {
    TransportKind::ALL.map(|transport| Codec::ALL.map(|codec| make(transport.label(), codec.label())))
}

fn error_counter(code: String) -> Counter {
    metrics::counter!("campanile_command_errors_total", "code" => code)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge};
    describe_gauge!("campanile_connections", "Client connections that are open.");
    describe_counter!(
        "campanile_connections_opened_total",
        "Client connections that were opened."
    );
    describe_counter!(
        "campanile_connections_closed_total",
        "Client connections that ended: by which disconnect code, by the client, gone without a word, for a violation of \
         the transport's rules, or by a code of the application."
    );
    describe_counter!(
        "campanile_connections_refused_total",
        "Requests that did not become a client connection."
    );
    describe_counter!("campanile_frames_received_total", "Frames received from clients.");
    describe_counter!(
        "campanile_received_bytes_total",
        Unit::Bytes,
        "Bytes of frames received from clients."
    );
    describe_counter!(
        "campanile_messages_sent_total",
        "Replies and pushes sent to clients."
    );
    describe_counter!(
        "campanile_writes_total",
        "Batches of messages written to clients."
    );
    describe_counter!(
        "campanile_sent_bytes_total",
        Unit::Bytes,
        "Bytes of messages sent to clients."
    );
    describe_counter!(
        "campanile_decode_errors_total",
        "Frames of clients that could not be decoded."
    );
    describe_counter!(
        "campanile_command_errors_total",
        "Error replies to clients, by the protocol's code."
    );
    describe_counter!(
        "campanile_subscriptions_lost_total",
        "Positioned subscriptions ended because publications could not be recovered."
    );
    describe_gauge!("campanile_subscriptions", "Subscriptions of client connections.");
}
