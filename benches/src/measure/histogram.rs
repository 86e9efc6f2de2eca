//! How long things took, each value to three digits.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Significant digits.
const DIGITS: u8 = 3;

/// A distribution of durations, in nanoseconds. It grows with the largest value, to some hundred KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

impl Default for Histogram {
    fn default() -> Self {
        Self(hdrhistogram::Histogram::new(DIGITS).expect("three digits are within what is possible"))
    }
}

impl Histogram {
    /// Notes a value.
    pub fn record(&mut self, value: Duration) {
        self.record_n(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX), 1);
    }

    /// Adds another's values.
    pub fn merge(&mut self, other: &Self) {
        for value in other.0.iter_recorded() {
            self.record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below or at which this part of all values is: 0.5 is the median.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(part))
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// The smallest value.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.0.min())
    }

    /// The mean of all values.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e9)
    }

    /// Every value that occurs, in nanoseconds, with how often it does, ascending.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded.map(|value| (value.value_iterated_to(), value.count_at_value()))
    }

    fn record_n(&mut self, nanoseconds: u64, times: u64) {
        self.0
            .record_n(nanoseconds.min(LONGEST), times)
            .expect("it grows to the longest value");
    }
}

/// An hour: what takes longer is a failure. It also bounds the memory.
const LONGEST: u64 = 3_600_000_000_000;

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.values())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values: Vec<(u64, u64)> = Vec::deserialize(deserializer)?;
        let mut histogram = Self::default();
        for (nanoseconds, times) in values {
            histogram.record_n(nanoseconds, times);
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values
            .iter()
            .for_each(|&value| histogram.record(Duration::from_nanos(value)));
        histogram
    }

    proptest! {
        #[test]
        fn it_travels_and_adds_without_loss(a: Vec<u64>, b: Vec<u64>) {
            let (first, second) = (of(&a), of(&b));
            let text = serde_json::to_string(&first).unwrap();
            let mut sum: Histogram = serde_json::from_str(&text).unwrap();
            prop_assert!(sum.values().eq(first.values()));
            sum.merge(&second);
            prop_assert!(sum.values().eq(of(&[a, b].concat()).values()));
        }
    }
}
