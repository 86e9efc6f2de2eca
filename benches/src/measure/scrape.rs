//! What a gateway itself counted in the course of a run, from its `/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

/// A gateway that is so busy that it takes longer is measured without its counters.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
#[error("{url} cannot be read")]
pub struct ScrapeError {
    url: String,
    source: reqwest::Error,
}

/// What the server at `url` says of itself, such as `http://host:9000/metrics`.
///
/// # Errors
///
/// When it does not answer, or not in time, or with an error.
pub async fn text(url: &str) -> Result<String, ScrapeError> {
    let failed = |source| ScrapeError {
        url: url.to_owned(),
        source,
    };
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let answer = client.map_err(failed)?.get(url).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    answer.map_err(failed)?.text().await.map_err(failed)
}

/// Everything that a server counts up, at one moment: sample names with their labels, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<String, f64>);

impl Counters {
    /// Asks the server at `url`, such as `http://host:9000/metrics`.
    ///
    /// # Errors
    ///
    /// When it does not answer, or not in time, or with an error.
    pub async fn fetch(url: &str) -> Result<Self, ScrapeError> {
        Ok(Self::parse(&text(url).await?))
    }

    /// Reads Prometheus' text format. Gauges are left out, as they do not add up.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        let mut counted = false;
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                counted = kind.ends_with(" counter") || kind.ends_with(" histogram");
            } else if counted && !line.starts_with('#')
                // A label's value may contain spaces; a sample's value does not. Campanile writes no timestamps.
                && let Some((sample, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                samples.insert(sample.to_owned(), value);
            }
        }
        Self(samples)
    }

    /// By how much the samples of the metric `name` that have all of these labels grew together since `before`. What was
    /// not there yet counts from zero, and so does a counter that is smaller than before: a restart has reset it.
    #[must_use]
    pub fn grown_since(&self, before: &Self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.growth_since(before);
        let wanted = samples.filter(|(sample, _)| is_of(sample, name, labels));
        // Not `sum`, for which nothing is -0.
        wanted.fold(0.0, |sum, (_, by)| sum + by)
    }

    /// Every sample that grew since `before`, with by how much.
    pub fn growth_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter_map(|(sample, value)| {
            let earlier = before.0.get(sample).copied().unwrap_or(0.0);
            let by = if *value >= earlier {
                value - earlier
            } else {
                *value
            };
            (by > 0.0).then_some((sample.as_str(), by))
        })
    }

    /// Adds another gateway's.
    pub fn merge(&mut self, other: Self) {
        for (sample, value) in other.0 {
            *self.0.entry(sample).or_default() += value;
        }
    }
}

/// Reads the counters of all gateways at each mark of a run, while the run goes on.
#[derive(Debug)]
pub struct Scraper {
    urls: Vec<String>,
    reads: Vec<(String, JoinHandle<Result<Counters, ScrapeError>>)>,
}

impl Scraper {
    /// Of the gateways with these URLs of metrics.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        let reads = Vec::new();
        Self { urls, reads }
    }

    /// Begins to read them, at a mark.
    pub fn mark(&mut self, name: &str) {
        if self.urls.is_empty() {
            return;
        }
        let urls = self.urls.clone();
        let read = tokio::spawn(async move {
            let mut sum = Counters::default();
            for url in &urls {
                sum.merge(Counters::fetch(url).await?);
            }
            Ok(sum)
        });
        self.reads.push((name.to_owned(), read));
    }

    /// What was read at each mark, and what could not be read, in words.
    pub async fn finish(self) -> (Vec<(String, Counters)>, Vec<String>) {
        let (mut read, mut missing) = (Vec::new(), Vec::new());
        for (mark, task) in self.reads {
            match task.await {
                Ok(Ok(counters)) => read.push((mark, counters)),
                Ok(Err(error)) => missing.push(format!("metrics at {mark}: {error}")),
                Err(_) => missing.push(format!("metrics at {mark}: not read to the end")),
            }
        }
        (read, missing)
    }
}

/// Whether `sample` is one of the metric `name` and has all of these labels.
fn is_of(sample: &str, name: &str, labels: &[(&str, &str)]) -> bool {
    let (metric, rest) = sample.split_once('{').unwrap_or((sample, ""));
    metric == name && labels.iter().all(|(key, value)| has_label(rest, key, value))
}

/// Whether `labels`, as in `a="1",b="2"}`, have this one.
fn has_label(labels: &str, key: &str, value: &str) -> bool {
    let labels = labels.trim_end_matches('}');
    let label = format!("{key}=\"{value}\"");
    // Values with quotes or commas inside do not occur in what Campanile exports.
    labels.split(',').any(|candidate| candidate == label)
}

#[cfg(test)]
mod tests {
    use super::{Counters, Scraper};

    const BEFORE: &str = "\
# HELP campanile_shard_requests_total operations
# TYPE campanile_shard_requests_total counter
campanile_shard_requests_total{shard=\"a\",operation=\"history\",outcome=\"ok\"} 10
campanile_shard_requests_total{shard=\"a\",operation=\"publish\",outcome=\"ok\"} 7

# TYPE campanile_connections gauge
campanile_connections{transport=\"websocket\"} 5

# TYPE campanile_api_call_seconds histogram
campanile_api_call_seconds_bucket{method=\"publish\",le=\"0.1\"} 3
campanile_api_call_seconds_count{method=\"publish\"} 3
";
    const AFTER: &str = "\
# TYPE campanile_shard_requests_total counter
campanile_shard_requests_total{shard=\"a\",operation=\"history\",outcome=\"ok\"} 14
campanile_shard_requests_total{shard=\"b\",operation=\"history\",outcome=\"ok\"} 2
campanile_shard_requests_total{shard=\"a\",operation=\"publish\",outcome=\"ok\"} 7
# TYPE campanile_connections gauge
campanile_connections{transport=\"websocket\"} 500
# TYPE campanile_api_call_seconds histogram
campanile_api_call_seconds_bucket{method=\"publish\",le=\"0.1\"} 1
campanile_api_call_seconds_count{method=\"publish\"} 1
";

    fn grown(name: &str, labels: &[(&str, &str)]) -> f64 {
        Counters::parse(AFTER).grown_since(&Counters::parse(BEFORE), name, labels)
    }

    #[test]
    fn what_grew_is_told_by_sample_and_added_up_by_label() {
        let reads = |labels| grown("campanile_shard_requests_total", labels);
        assert_eq!(reads(&[("operation", "history")]), 6.0);
        assert_eq!(reads(&[("operation", "history"), ("shard", "b")]), 2.0);
        assert_eq!(reads(&[("operation", "publish")]), 0.0);
        assert_eq!(reads(&[]), 6.0);
        let (before, after) = (Counters::parse(BEFORE), Counters::parse(AFTER));
        // Those of history on both shards, and the two of the histogram.
        assert_eq!(after.growth_since(&before).count(), 4);
    }

    #[test]
    fn gauges_are_no_counters() {
        assert_eq!(grown("campanile_connections", &[]), 0.0);
    }

    #[test]
    fn a_counter_that_a_restart_has_reset_counts_from_zero() {
        assert_eq!(grown("campanile_api_call_seconds_count", &[]), 1.0);
    }

    #[test]
    fn counters_of_several_gateways_add_up() {
        let mut sum = Counters::parse(BEFORE);
        sum.merge(Counters::parse(BEFORE));
        let nothing = Counters::default();
        let history = [("operation", "history")];
        assert_eq!(
            sum.grown_since(&nothing, "campanile_shard_requests_total", &history),
            20.0
        );
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_told_with_its_address() {
        let mut scraper = Scraper::new(vec!["http://127.0.0.1:1/metrics".to_owned()]);
        scraper.mark("measure");
        let (read, missing) = scraper.finish().await;
        assert!(read.is_empty());
        assert_eq!(
            missing,
            ["metrics at measure: http://127.0.0.1:1/metrics cannot be read"]
        );
    }
}
