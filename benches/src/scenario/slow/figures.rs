//! What becomes of those who do not read, and what that costs.

use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::delivery::{self, CUT, OTHERWISE, TOLD};
use crate::scenario::steady::QUIET;
use crate::scenario::{Better, Figure, Unit};

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = delivery::figures(outcome);
    let before = outcome.histogram(QUIET).map(|it| it.quantile(0.99).as_secs_f64());
    let before = before.map(|it| Figure::new("delivery p99 before", it, Unit::Seconds, Better::Neither));
    figures.extend(before);
    figures.extend(ends(outcome));
    let most = most_resident(outcome);
    figures.extend(most.map(|it| Figure::new("gateway memory, most", it, Unit::Bytes, Better::Lower)));
    figures
}

/// How connections ended, as clients saw it and as the gateways count.
fn ends(outcome: &Outcome) -> Vec<Figure> {
    let seen = [
        ("clients told 3008 (slow)", TOLD),
        ("clients cut off without a code", CUT),
        ("clients told another code", OTHERWISE),
    ];
    let seen = seen.map(|(name, how)| (name, Some(count(outcome, how))));
    let counted = [
        ("closed by the gateway as slow (3008)", "slow"),
        ("closed by the gateway as write_error", "write_error"),
    ];
    let counted = counted.map(|(name, reason)| (name, closed(outcome, reason)));
    let all = seen.into_iter().chain(counted);
    let figure =
        |(name, value): (&str, Option<f64>)| Some(Figure::new(name, value?, Unit::Count, Better::Neither));
    all.filter_map(figure).collect()
}

fn closed(outcome: &Outcome, reason: &str) -> Option<f64> {
    outcome.counted_between(
        "campanile_connections_closed_total",
        &[("reason", reason)],
        Phase::Measure.name(),
        Phase::Done.name(),
    )
}

#[expect(clippy::cast_precision_loss, reason = "exact to 2^53")]
fn count(outcome: &Outcome, name: &str) -> f64 {
    outcome.counter(name) as f64
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
