//! What is counted about TLS.

use std::time::SystemTime;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::validity::Validity;

/// How a handshake on TCP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a connection.
    Completed,
    /// The two did not agree, or the peer broke the rules of TLS.
    Failed,
    /// The peer took too long.
    TimedOut,
    /// The peer was gone before it had said anything.
    Gone,
    /// The peer spoke plain HTTP.
    Plain,
    /// Too many others were under way for too long.
    Busy,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::Gone,
        Self::Plain,
        Self::Busy,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
            Self::Gone => "gone",
            Self::Plain => "plain_http",
            Self::Busy => "busy",
        }
    }
}

/// Counts handshakes by their outcome.
#[derive(Clone, Debug)]
pub struct Handshakes([Counter; Outcome::ALL.len()]);

impl Handshakes {
    /// The metrics of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        describe_counter!(
            "campanile_tls_handshakes_total",
            "TLS handshakes on TCP, by how they ended."
        );
        let outcome =
            |outcome: Outcome| counter!("campanile_tls_handshakes_total", "outcome" => outcome.label());
        Self(Outcome::ALL.map(outcome))
    }

    pub(super) fn ended(&self, outcome: Outcome) {
        self.0[outcome as usize].increment(1);
    }
}

/// What is known of one certificate.
#[derive(Clone, Debug)]
pub(super) struct CertificateMeters {
    replaced: Counter,
    refused: Counter,
    is_refused: Gauge,
    valid_from: Gauge,
    valid_until: Gauge,
}

impl CertificateMeters {
    /// Those of the certificate of `port`.
    pub(super) fn register(port: &'static str) -> Self {
        describe_counter!(
            "campanile_tls_reloads_total",
            "Certificates taken over while the gateway runs, and those that could not be used."
        );
        describe_gauge!(
            "campanile_tls_certificate_expiry_seconds",
            Unit::Seconds,
            "When the certificate in use ends to be valid, in seconds since 1970."
        );
        describe_gauge!(
            "campanile_tls_certificate_start_time_seconds",
            Unit::Seconds,
            "When the certificate in use begins to be valid, in seconds since 1970."
        );
        describe_gauge!(
            "campanile_tls_refused",
            "1 while the files of the certificate and its key cannot be used, so that those before stay in use, else 0."
        );
        let reloads = |outcome| counter!("campanile_tls_reloads_total", "port" => port, "outcome" => outcome);
        Self {
            replaced: reloads("replaced"),
            refused: reloads("refused"),
            is_refused: gauge!("campanile_tls_refused", "port" => port),
            valid_from: gauge!("campanile_tls_certificate_start_time_seconds", "port" => port),
            valid_until: gauge!("campanile_tls_certificate_expiry_seconds", "port" => port),
        }
    }

    pub(super) fn replaced(&self) {
        self.replaced.increment(1);
    }

    pub(super) fn refused(&self) {
        self.refused.increment(1);
    }

    /// Whether what is in the files now cannot be used.
    pub(super) fn is_refused(&self, is: bool) {
        self.is_refused.set(f64::from(u8::from(is)));
    }

    pub(super) fn valid(&self, validity: Option<Validity>) {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = |time: Option<SystemTime>| time.map(seconds).unwrap_or_default().as_secs_f64();
        self.valid_from
            .set(seconds(validity.map(|validity| validity.from)));
        self.valid_until
            .set(seconds(validity.map(|validity| validity.until)));
    }
}
