//! What happened in each second.

use serde::{Deserialize, Serialize};

/// Seconds that are kept: a day. What comes later is not noted.
const MOST: u64 = 24 * 3600;

/// A sum for each second, from the beginning of the measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(Vec<u64>);

impl Timeline {
    /// Adds to a second.
    pub fn add(&mut self, second: u64, by: u64) {
        if second >= MOST {
            return;
        }
        let index = usize::try_from(second).expect("below the bound");
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] += by;
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        for (second, by) in (0..).zip(&other.0) {
            self.add(second, *by);
        }
    }

    /// The sums, by second.
    #[must_use]
    pub fn seconds(&self) -> &[u64] {
        &self.0
    }
}
