//! What a run is to do: it travels to every worker.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::secrets;

/// All that decides about a run, beside the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// How much of what.
    pub load: Load,
    /// Of all randomness, the channels' names among it: the same seed makes the same run, as far as that is in the
    /// harness's hands.
    pub seed: u64,
    /// In front of every channel's name, behind the namespace. Runs of the same seed on one server need different ones, as long as
    /// streams of an earlier run are there.
    pub prefix: String,
}

impl Plan {
    /// The same without what must not be printed.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for text in self.load.options.values_mut() {
            *text = secrets::urls(text);
        }
        self
    }
}

/// How much of what a scenario does. Sums are over all workers. Each scenario has defaults of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Clients that connect.
    pub connections: usize,
    /// Channels in use.
    pub channels: usize,
    /// Publications a second.
    pub rate: f64,
    /// Publications that are meant for the same instant. The rate stays the same.
    pub burst: u32,
    /// Bytes of a publication's payload; at least [`payload::MIN_SIZE`](crate::payload::MIN_SIZE).
    pub size: usize,
    /// Clients that begin to connect, a second.
    pub connect_rate: f64,
    /// Load before measuring begins.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// How long stragglers are waited for afterwards, at most.
    pub settle: Duration,
    /// Whether the channels keep a stream.
    pub stream: bool,
    /// Whether publications go through the HTTP API or the client protocol.
    pub publish_via: PublishVia,
    /// Connections of each worker to publish through.
    pub publishers: usize,
    /// Publications in one request, at most, while they wait for their turn. 1: each by itself.
    pub batch: usize,
    /// What only one scenario knows, by its [keys](crate::scenario::Scenario::keys): `-o key=value`.
    pub options: BTreeMap<String, String>,
}

/// The way in which publications go to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum PublishVia {
    /// The HTTP server API.
    Api,
    /// The publish command of clients.
    Client,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            connections: 1_000,
            channels: 1,
            rate: 10.0,
            burst: 1,
            size: 128,
            connect_rate: 1_000.0,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            settle: Duration::from_secs(10),
            stream: false,
            publish_via: PublishVia::Api,
            publishers: 1,
            batch: 1,
            options: BTreeMap::new(),
        }
    }
}

/// Which part of a run a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which worker this is, from 0.
    pub index: usize,
    /// How many workers there are.
    pub of: usize,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The part of `0..total` that is this worker's; the parts of all workers make up the whole, and differ in length by
    /// one at most.
    #[must_use]
    pub fn range(self, total: usize) -> Range<usize> {
        let bound = |index: usize| total / self.of * index + (total % self.of).min(index);
        bound(self.index)..bound(self.index + 1)
    }

    /// This worker's part of these numbers.
    #[must_use]
    pub fn part(self, numbers: Range<usize>) -> Range<usize> {
        let share = self.range(numbers.len());
        numbers.start + share.start..numbers.start + share.end
    }

    /// This worker's part of a rate.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "workers are few")]
    pub fn rate(self, total: f64) -> f64 {
        total / self.of as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_up_the_whole() {
        for total in [0, 1, 7, 100, 101] {
            for of in 1..9 {
                let parts: Vec<_> = (0..of).map(|index| Share { index, of }.range(total)).collect();
                assert_eq!(parts[0].start, 0);
                assert_eq!(parts[of - 1].end, total);
                assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
                let lengths = parts.iter().map(ExactSizeIterator::len);
                assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
            }
        }
    }
}
