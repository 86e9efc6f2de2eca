//! What deliveries cost and how long they take.

use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::figures::{Figures, count, quantile};
use crate::scenario::steady::MEASURED;
use crate::scenario::{Figure, Unit};

/// The figures that all of these scenarios have.
pub(in super::super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    let deliveries = count(outcome, "deliveries");
    let seconds = outcome.measured().map(|it| it.as_secs_f64());
    let rate = seconds.map(|seconds| deliveries / seconds);
    figures.higher("deliveries", rate, Unit::PerSecond);
    for (name, share) in [
        ("delivery p50", 0.5),
        ("delivery p99", 0.99),
        ("delivery p99.9", 0.999),
    ] {
        figures.lower(name, quantile(outcome, MEASURED, share), Unit::Seconds);
    }
    costs(outcome, deliveries, &mut figures);
    figures.neither("messages per write", coalescing(outcome), Unit::Ratio);
    figures.done()
}

fn costs(outcome: &Outcome, deliveries: f64, figures: &mut Figures) {
    let published = count(outcome, "published");
    let (gateway, shard) = (outcome.cpu("gateway"), outcome.cpu("redis"));
    let each = |cpu: Option<f64>, of: f64| cpu.map(|cpu| cpu / of);
    figures.lower(
        "gateway CPU per delivery",
        each(gateway, deliveries),
        Unit::Seconds,
    );
    figures.higher(
        "deliveries per gateway CPU second",
        gateway.map(|cpu| deliveries / cpu),
        Unit::PerCpuSecond,
    );
    figures.neither(
        "gateway CPU per publication",
        each(gateway, published),
        Unit::Seconds,
    );
    figures.lower("shard CPU per publication", each(shard, published), Unit::Seconds);
}

/// Messages that went out in one write to a client, on average.
fn coalescing(outcome: &Outcome) -> Option<f64> {
    let (from, to) = (Phase::Measure.name(), Phase::Settle.name());
    let counted = |metric| outcome.counted_between(metric, &[], from, to);
    let (messages, writes) = (
        counted("campanile_messages_sent_total")?,
        counted("campanile_writes_total")?,
    );
    (writes > 0.0).then(|| messages / writes)
}
