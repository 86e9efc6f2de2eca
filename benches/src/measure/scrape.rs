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
        self.since(before).sum(name, labels)
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

    /// By how much each sample grew since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let growth = self.growth_since(before);
        Self(growth.map(|(sample, by)| (sample.to_owned(), by)).collect())
    }

    /// The samples of the metric `name` that have all of these labels, together.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = self.0.iter().filter(|(sample, _)| is_of(sample, name, labels));
        // Not `sum`, for which nothing is -0.
        wanted.fold(0.0, |sum, (_, value)| sum + value)
    }

    /// How many values each bucket of a histogram has, those of all labels together, by the bucket's upper end. The last
    /// one has none.
    #[must_use]
    pub fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let metric = format!("{name}_bucket");
        let mut upto: Vec<(f64, f64)> = Vec::new();
        for (sample, value) in self.0.iter().filter(|(sample, _)| is_of(sample, &metric, &[])) {
            let Some(end) = upper_end(sample) else { continue };
            match upto.iter_mut().find(|(known, _)| *known == end) {
                Some((_, count)) => *count += value,
                None => upto.push((end, *value)),
            }
        }
        upto.sort_by(|(one, _), (next, _)| one.total_cmp(next));
        // Each of them counts those before it, too.
        let before = std::iter::once(0.0).chain(upto.iter().map(|(_, count)| *count));
        let each = upto.iter().zip(before);
        each.map(|((end, count), before)| (*end, (count - before).max(0.0)))
            .collect()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Self) {
        for (sample, value) in other.0 {
            *self.0.entry(sample).or_default() += value;
        }
    }
}

/// What several gateways have counted, each for itself: if one of them begins anew, the others have not. `None`: one that did
/// not answer.
#[derive(Clone, Debug, Default)]
pub struct Readings(pub Vec<Option<Counters>>);

impl Readings {
    /// By how much the counters of those grew together that answered then and now.
    #[must_use]
    pub fn growth_since(&self, before: &Self) -> Counters {
        let mut sum = Counters::default();
        for (now, before) in self.0.iter().zip(&before.0) {
            if let (Some(now), Some(before)) = (now, before) {
                sum.merge(now.since(before));
            }
        }
        sum
    }

    /// Takes the place of earlier readings: who did not answer now is known as it was then.
    fn follow(self, earlier: Self) -> Self {
        let mut earlier = earlier.0.into_iter();
        let each = self.0.into_iter().map(|now| {
            let earlier = earlier.next().flatten();
            now.or(earlier)
        });
        Self(each.collect())
    }
}

/// Reads the counters of all gateways at each mark of a run, while the run goes on.
#[derive(Debug)]
pub struct Scraper {
    urls: Vec<String>,
    reads: Vec<(String, JoinHandle<Vec<Read>>)>,
}

type Read = Result<Counters, ScrapeError>;

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
            let reads = urls.iter().map(|url| Counters::fetch(url));
            futures_util::future::join_all(reads).await
        });
        self.reads.push((name.to_owned(), read));
    }

    /// What was counted until each mark, and what could not be read, in words. A mark at which a gateway did not answer is
    /// left out; what that one counted meanwhile shows at the next.
    pub async fn finish(self) -> (Vec<(String, Counters)>, Vec<String>) {
        let (mut sums, mut missing) = (Sums::default(), Vec::new());
        for (mark, task) in self.reads {
            let Ok(reads) = task.await else {
                missing.push(format!("metrics at {mark}: not read to the end"));
                continue;
            };
            let mut readings = Readings::default();
            for read in reads {
                if let Err(error) = &read {
                    missing.push(format!("metrics at {mark}: {error}"));
                }
                readings.0.push(read.ok());
            }
            sums.add(mark, readings);
        }
        (sums.marks, missing)
    }
}

/// Sums that only grow, whichever gateway begins anew.
#[derive(Debug, Default)]
struct Sums {
    /// Each gateway's last reading.
    last: Option<Readings>,
    sum: Counters,
    marks: Vec<(String, Counters)>,
}

impl Sums {
    /// Adds what was counted until a mark.
    fn add(&mut self, mark: String, readings: Readings) {
        let complete = readings.0.iter().all(Option::is_some);
        match self.last.take() {
            Some(last) => {
                self.sum.merge(readings.growth_since(&last));
                self.last = Some(readings.follow(last));
            }
            None => {
                let counters = readings.0.iter().flatten();
                counters.for_each(|counters| self.sum.merge(counters.clone()));
                self.last = Some(readings);
            }
        }
        if complete {
            self.marks.push((mark, self.sum.clone()));
        }
    }
}

/// Whether `sample` is one of the metric `name` and has all of these labels.
fn is_of(sample: &str, name: &str, labels: &[(&str, &str)]) -> bool {
    let (metric, rest) = sample.split_once('{').unwrap_or((sample, ""));
    metric == name && labels.iter().all(|(key, value)| has_label(rest, key, value))
}

/// Up to where a sample's bucket counts: its label `le`.
fn upper_end(sample: &str) -> Option<f64> {
    let (_, rest) = sample.split_once("le=\"")?;
    let (end, _) = rest.split_once('"')?;
    if end == "+Inf" {
        Some(f64::INFINITY)
    } else {
        end.parse().ok()
    }
}

/// Whether `labels`, as in `a="1",b="2"}`, have this one.
fn has_label(labels: &str, key: &str, value: &str) -> bool {
    let labels = labels.trim_end_matches('}');
    let label = format!("{key}=\"{value}\"");
    // Values with quotes or commas inside do not occur in what Campanile exports.
    labels.split(',').any(|candidate| candidate == label)
}

#[cfg(test)]
mod tests;
