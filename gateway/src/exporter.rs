//! Metrics: where the parts' counters are gathered, and their text form for Prometheus.
//!
//! The parts register and hold their own metrics, named `campanile_*`, through the `metrics` facade.

use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// What a histogram in seconds distinguishes: from a shard in the same rack to what nobody waits for.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How often samples are folded into their histograms, which otherwise grow until somebody asks for the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// All metrics of this process.
#[derive(Clone, Debug)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Begins to gather. Once per process, before any part registers its metrics.
    pub fn install() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .install_recorder()?;
        describe_gauge!("campanile_build_info", "Always 1; the label has the version");
        gauge!("campanile_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        describe_gauge!(
            "process_resident_memory_bytes",
            Unit::Bytes,
            "Memory of this process that is not swapped out"
        );
        Ok(Self(handle))
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            gauge!("process_resident_memory_bytes").set(bytes);
        }
        self.0.render()
    }

    /// Keeps the histograms small; never ends.
    pub async fn keep_up(self) {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// As Linux tells it; `None` elsewhere.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}
