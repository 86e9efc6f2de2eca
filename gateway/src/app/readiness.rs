//! What this gateway can reach.

use crate::http::{Readiness, ReadyReport, StoreReport};

/// Asks the parts.
#[derive(Debug)]
pub(super) struct Probe;

impl Readiness for Probe {
    fn report(&self) -> ReadyReport {
        ReadyReport {
            ready: false,
            gateway: String::new(),
            shutting_down: false,
            generation: None,
            store: StoreReport {
                reachable: false,
                error: None,
            },
            shards: Vec::new(),
            missing: Vec::new(),
            problems: vec!["there are no shards yet".to_owned()],
        }
    }
}
