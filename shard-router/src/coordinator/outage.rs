//! How long a shard has been unreachable, and whether that is enough to evict it. No I/O.

use std::time::{Duration, Instant};

use crate::store::{GatewayId, GatewayReport};
use crate::topology::ShardId;

/// How much one tick counts at most: a process that was stopped for a minute has not seen a minute of silence.
const TICK: Duration = Duration::from_secs(2);

/// How long a shard has been silent without a break.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    lasted: Duration,
    last: Instant,
}

impl Outage {
    /// Begins at `now`.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            lasted: Duration::ZERO,
            last: now,
        }
    }

    /// It goes on at `now`.
    pub(super) fn tick(&mut self, now: Instant) {
        self.lasted += now.saturating_duration_since(self.last).min(TICK);
        self.last = now;
    }

    /// How long it has been going on.
    pub(super) fn lasted(&self) -> Duration {
        self.lasted
    }
}

/// Whether most of the live gateways say that they cannot reach `shard` either.
pub(super) fn most_miss(gateways: &[(GatewayId, GatewayReport)], shard: &ShardId) -> bool {
    let missing = gateways
        .iter()
        .filter(|(_, report)| report.unreachable.contains(shard));
    missing.count() * 2 > gateways.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_the_process_does_not_count_as_silence() {
        let start = Instant::now();
        let mut outage = Outage::begin(start);
        for second in 1..=3 {
            outage.tick(start + Duration::from_secs(second));
        }
        assert_eq!(outage.lasted(), Duration::from_secs(3));
        outage.tick(start + Duration::from_secs(60));
        assert_eq!(outage.lasted(), Duration::from_secs(5));
    }

    #[test]
    fn a_shard_is_missed_if_most_gateways_miss_it() {
        let shard = ShardId::new("s");
        let gateway = |number: usize, misses: bool| {
            let unreachable = misses.then(|| shard.clone()).into_iter().collect();
            let report = GatewayReport {
                unreachable,
                ..GatewayReport::default()
            };
            (GatewayId(number.to_string().into()), report)
        };
        let gateways = |misses: &[bool]| -> Vec<_> {
            misses
                .iter()
                .enumerate()
                .map(|(number, misses)| gateway(number, *misses))
                .collect()
        };
        assert!(most_miss(&gateways(&[true]), &shard));
        assert!(most_miss(&gateways(&[true, true, false]), &shard));
        assert!(!most_miss(&gateways(&[true, false]), &shard));
        assert!(!most_miss(&[], &shard));
    }
}
