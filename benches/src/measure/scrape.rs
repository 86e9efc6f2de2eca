//! The gateway's own metrics, before and after.

use std::collections::BTreeMap;

/// Values by name and labels, as `/metrics` writes them.
pub type Samples = BTreeMap<String, f64>;

/// The samples in a text of the Prometheus format; lines that are none are skipped.
#[must_use]
pub fn parse(text: &str) -> Samples {
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
        .collect()
}
