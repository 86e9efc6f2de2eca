//! Metrics: where the parts' counters are gathered, and their text form for Prometheus.
//!
//! The parts register and hold their own metrics, named `campanile_*`, through the `metrics` facade. What is cheaper to look up
//! when somebody asks than to keep up to date is a [`Snapshot`]; so are the figures of the process.

mod process;
mod text;

use std::sync::Arc;
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use process::Process;
pub use text::{Family, Text};

/// What a histogram in seconds distinguishes: from a shard in the same rack to what nobody waits for.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How often samples are folded into their histograms, which otherwise grow until somebody asks for the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// Figures that are looked up when somebody asks for them.
pub trait Snapshot: Send + Sync + 'static {
    /// Writes all of them, always the same families. May take some milliseconds.
    fn write(&self, text: &mut Text);
}

/// All metrics of this process.
#[derive(Clone)]
pub struct Exporter {
    gathered: PrometheusHandle,
    snapshots: Vec<Arc<dyn Snapshot>>,
}

impl Exporter {
    /// Begins to gather. Once per process, before any part registers its metrics.
    pub fn install() -> Result<Self, BuildError> {
        let gathered = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .install_recorder()?;
        describe_gauge!("campanile_build_info", "Always 1; the label has the version");
        gauge!("campanile_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self {
            gathered,
            snapshots: vec![Arc::new(Process::started_now())],
        })
    }

    /// The same with the figures of `snapshot`.
    #[must_use]
    pub fn with(mut self, snapshot: Arc<dyn Snapshot>) -> Self {
        self.snapshots.push(snapshot);
        self
    }

    /// The metrics in Prometheus' text format. Blocks for as long as the snapshots take.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Text::new(self.gathered.render());
        for snapshot in &self.snapshots {
            snapshot.write(&mut text);
        }
        text.into_string()
    }

    /// Keeps the histograms small; never ends.
    pub async fn keep_up(self) {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            self.gathered.run_upkeep();
        }
    }
}
