//! What is counted about new versions of the configuration.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// The handles of these metrics.
#[derive(Clone, Debug)]
pub struct ReloadMeters {
    applied: Counter,
    refused: Counter,
    is_refused: Gauge,
    restart: Gauge,
}

impl ReloadMeters {
    /// The metrics of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        describe_counter!(
            "campanile_config_reloads_total",
            "Versions of the configuration file that were taken over while the gateway runs, and that could not be used."
        );
        describe_gauge!(
            "campanile_config_restart_needed",
            "1 while the configuration file says something that counts from the next start on only, else 0."
        );
        describe_gauge!(
            "campanile_config_refused",
            "1 while the configuration file cannot be used, so that what it said before counts, else 0."
        );
        let reloads =
            |outcome: &'static str| counter!("campanile_config_reloads_total", "outcome" => outcome);
        Self {
            applied: reloads("applied"),
            refused: reloads("refused"),
            is_refused: gauge!("campanile_config_refused"),
            restart: gauge!("campanile_config_restart_needed"),
        }
    }

    pub(super) fn applied(&self) {
        self.applied.increment(1);
    }

    pub(super) fn refused(&self) {
        self.refused.increment(1);
    }

    /// Whether the version of the file that is there is one that cannot be used.
    pub(super) fn is_refused(&self, is: bool) {
        self.is_refused.set(f64::from(u8::from(is)));
    }

    pub(super) fn waits_for_restart(&self, waits: bool) {
        self.restart.set(f64::from(u8::from(waits)));
    }
}
