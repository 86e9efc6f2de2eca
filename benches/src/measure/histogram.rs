//! Durations, counted in buckets that are as fine as their values are short.
//!
//! An HDR histogram keeps every value to three significant digits in a few kilobytes, so that the rarest
//! percentiles of millions of deliveries are as exact as the median, and histograms of several workers can be
//! added up, which percentiles cannot.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The shortest time that is told from others; what is shorter counts as this or half of it.
const SHORTEST: u64 = 1_000;
/// Five minutes: longer than any time-out in the protocol. What takes longer is counted apart.
const LONGEST: u64 = 300 * 1_000_000_000;
const DIGITS: u8 = 3;

/// Points of a curve for each halving of what is left: ten times as many values make thirteen points more.
const STEPS_PER_HALF: f64 = 4.0;

/// Durations by how often they were measured.
#[derive(Clone, PartialEq)]
pub struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    /// The longest of them in nanoseconds, exactly.
    longest: u64,
    /// How many were longer than the buckets reach. They count as five minutes.
    beyond: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.longest = self.longest.max(nanoseconds);
        self.beyond += u64::from(nanoseconds > LONGEST);
        self.counts.saturating_record(nanoseconds.min(LONGEST));
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.longest = self.longest.max(other.longest);
        self.beyond += other.beyond;
        self.counts
            .add(&other.counts)
            .expect("all histograms have the same bounds");
    }

    /// How many durations were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.counts.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many took longer than five minutes.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The shortest time within which this share of all was done: 0.5 gives the median. Zero if none was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        if self.is_empty() {
            return Duration::ZERO;
        }
        // A bucket's upper end, which may lie above the longest that is in it.
        Duration::from_nanos(self.counts.value_at_quantile(share).min(self.longest))
    }

    /// The longest, exactly.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// The mean, to three digits.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.counts.mean() / 1e9)
    }

    /// Points of the percentile curve: shares that halve what is left in four steps, until less than one value is
    /// left, and the whole; each with the time within which that share was done.
    #[must_use]
    pub fn curve(&self) -> Vec<(f64, Duration)> {
        if self.is_empty() {
            return Vec::new();
        }
        let one = 1.0 / self.counted();
        (0..)
            .map(|step| (-f64::from(step) / STEPS_PER_HALF).exp2())
            .take_while(|left| *left >= one)
            .map(|left| (1.0 - left, self.quantile(1.0 - left)))
            .chain([(1.0, self.max())])
            .collect()
    }

    /// Every value that occurs, in nanoseconds, with how often it does, ascending.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.counts.iter_recorded();
        recorded.map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of it is asked for")]
    fn counted(&self) -> f64 {
        self.len() as f64
    }
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = hdrhistogram::Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS)
            .expect("the bounds are constants that the histogram accepts");
        Self {
            counts,
            longest: 0,
            beyond: 0,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.len())
            .field("median", &self.quantile(0.5))
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

/// A histogram as it travels: the buckets that are not empty.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Histogram", deny_unknown_fields)]
struct Stored {
    count: u64,
    max_ns: u64,
    beyond: u64,
    /// A value of the bucket in nanoseconds, and how often it was counted.
    buckets: Vec<(u64, u64)>,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            count: self.len(),
            max_ns: self.longest,
            beyond: self.beyond,
            buckets: self.values().collect(),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut histogram = Self {
            longest: stored.max_ns,
            beyond: stored.beyond,
            ..Self::default()
        };
        for (value, count) in stored.buckets {
            histogram.counts.saturating_record_n(value, count);
        }
        if histogram.len() != stored.count {
            let sum = histogram.len();
            let reason = format!("its buckets hold {sum} values and not {}", stored.count);
            return Err(serde::de::Error::custom(reason));
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests;
