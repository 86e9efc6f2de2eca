//! What `/metrics` says, parsed.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Parses the Prometheus text format; lines that are no samples are passed over.
    pub fn parse(text: &str) -> Self {
        Self {
            samples: text.lines().filter_map(sample).collect(),
        }
    }

    /// The sum of a metric's samples that carry all these labels; zero when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| {
                labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).map(String::as_str) == Some(*value))
            })
            .map(|sample| sample.value)
            .fold(0.0, |sum, value| sum + value)
    }

    /// [`sum`](Self::sum) of a counter or of a gauge that counts things.
    ///
    /// # Panics
    /// When the sum is negative.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        format!("{sum:.0}")
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {sum}, not a count"))
    }

    /// Every sample's name and labels.
    pub fn series(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        self.samples
            .iter()
            .map(|sample| (sample.name.as_str(), &sample.labels))
    }

    /// Whether there is a metric of this name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }
}

fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    // Label values here are names out of closed sets, so none holds a comma.
    let labels = labels
        .split(',')
        .filter_map(|label| label.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn sums_the_samples_that_carry_the_labels() {
        let metrics = Metrics::parse("# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\"} 4\nb 5\n");
        assert_eq!(metrics.count("a", &[("x", "1")]), 7);
        assert_eq!(metrics.count("a", &[("y", "2")]), 3);
        assert_eq!(metrics.count("b", &[]), 5);
        assert_eq!(metrics.count("c", &[]), 0);
    }
}
