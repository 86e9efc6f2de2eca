//! What becomes of those who do not read, and what that costs.

use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::delivery::{self, CUT, OTHERWISE, TOLD};
use crate::scenario::figures::{Figures, count, quantile};
use crate::scenario::steady::QUIET;
use crate::scenario::{Figure, Unit};

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    figures.neither(
        "delivery p99 before",
        quantile(outcome, QUIET, 0.99),
        Unit::Seconds,
    );
    for (name, how) in [
        ("clients told 3008 (slow)", TOLD),
        ("clients cut off without a code", CUT),
        ("clients told another code", OTHERWISE),
    ] {
        figures.neither(name, Some(count(outcome, how)), Unit::Count);
    }
    for (name, reason) in [
        ("closed by the gateway as slow (3008)", "slow"),
        ("closed by the gateway as write_error", "write_error"),
    ] {
        figures.neither(name, closed(outcome, reason), Unit::Count);
    }
    figures.lower("gateway memory, most", most_resident(outcome), Unit::Bytes);
    let mut all = delivery::figures(outcome);
    all.extend(figures.done());
    all
}

fn closed(outcome: &Outcome, reason: &str) -> Option<f64> {
    outcome.counted_between(
        "campanile_connections_closed_total",
        &[("reason", reason)],
        Phase::Measure.name(),
        Phase::Done.name(),
    )
}

/// The most memory that all gateways together had in any second.
#[expect(clippy::cast_precision_loss, reason = "exact for 2^53 bytes")]
fn most_resident(outcome: &Outcome) -> Option<f64> {
    let gateways = outcome
        .processes
        .iter()
        .filter(|it| it.name.starts_with("gateway"));
    let most = gateways.filter_map(|it| it.samples.iter().map(|sample| sample.usage.resident_bytes).max());
    most.reduce(|sum, bytes| sum + bytes).map(|bytes| bytes as f64)
}
