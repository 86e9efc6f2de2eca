//! What a gateway still holds for clients that have gone, by its own metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::measure::scrape;
use crate::run::Run;
use crate::{Promise, Violation};

/// What must be as it was before, once everybody has left.
const GAUGES: [&str; 3] = [
    "campanile_connections",
    "campanile_subscriptions",
    "campanile_channels_subscribed",
];

/// How often the gateways are asked whether they have put everything away.
const ASK: Duration = Duration::from_millis(250);

/// What was there before anybody came. The first worker looks after it.
pub(super) struct Leftovers {
    urls: Vec<String>,
    before: BTreeMap<&'static str, f64>,
}

impl Leftovers {
    /// What is there now; `None` where it is another worker's business, or cannot be told, which is noted.
    pub(super) async fn before(run: &Run) -> Option<Self> {
        if run.share().index != 0 {
            return None;
        }
        let urls = run.target().metrics.clone();
        if urls.is_empty() {
            unchecked(run, "the gateways' metrics are not known (--metrics)");
            return None;
        }
        let Some(before) = read(&urls).await else {
            unchecked(run, "a gateway's metrics cannot be read");
            return None;
        };
        Some(Self { urls, before })
    }

    /// Waits until everything is as before, as long as the plan's `settle`, and reports what is not.
    pub(super) async fn check(&self, run: &Run) {
        let deadline = Instant::now() + run.plan().load.settle;
        loop {
            let left = read(&self.urls).await.map(|now| self.more(&now));
            match left {
                Some(left) if left.is_empty() => return,
                Some(left) if Instant::now() >= deadline => {
                    let detail = format!("left behind by clients that have gone: {}", left.join(", "));
                    return run.violation(Violation::new(Promise::Other, detail));
                }
                None if Instant::now() >= deadline => {
                    return unchecked(run, "a gateway's metrics cannot be read any more");
                }
                _ => sleep(ASK).await,
            }
        }
    }

    fn more(&self, now: &BTreeMap<&'static str, f64>) -> Vec<String> {
        let left = now.iter().filter_map(|(name, value)| {
            let more = value - self.before.get(name).copied().unwrap_or(0.0);
            (more > 0.0).then(|| format!("{more} {name}"))
        });
        left.collect()
    }
}

fn unchecked(run: &Run, why: &str) {
    run.unseen(format!(
        "what is left behind by clients that have gone, for {why}"
    ));
}

/// The gauges of all gateways together; `None` where one of them says nothing.
async fn read(urls: &[String]) -> Option<BTreeMap<&'static str, f64>> {
    let mut sums = BTreeMap::new();
    for url in urls {
        let text = scrape::text(url).await.ok()?;
        for name in GAUGES {
            *sums.entry(name).or_default() += sum(&text, name);
        }
    }
    Some(sums)
}

/// All samples of a metric in the Prometheus format, together.
fn sum(text: &str, name: &str) -> f64 {
    let of_name = text.lines().filter_map(|line| line.strip_prefix(name));
    let samples = of_name.filter(|rest| rest.starts_with(['{', ' ']));
    samples
        .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_are_added_up() {
        let text = "# TYPE campanile_connections gauge\n\
                    campanile_connections{transport=\"websocket\",codec=\"json\"} 3\n\
                    campanile_connections{transport=\"quic\",codec=\"json\"} 4\n\
                    campanile_connections_opened_total 9\n\
                    campanile_subscriptions 5\n";
        assert_eq!(sum(text, "campanile_connections"), 7.0);
        assert_eq!(sum(text, "campanile_subscriptions"), 5.0);
        assert_eq!(sum(text, "campanile_channels_subscribed"), 0.0);
    }

    #[test]
    fn only_what_is_more_than_before_is_left() {
        let leftovers = Leftovers {
            urls: Vec::new(),
            before: BTreeMap::from([("campanile_connections", 2.0)]),
        };
        let now = |connections| BTreeMap::from([("campanile_connections", connections)]);
        assert!(leftovers.more(&now(2.0)).is_empty());
        assert!(leftovers.more(&now(1.0)).is_empty());
        assert_eq!(leftovers.more(&now(5.0)), ["3 campanile_connections"]);
    }
}
