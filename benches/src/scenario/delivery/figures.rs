//! What deliveries cost and how long they take.

use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::{Better, Figure, Unit};

use crate::scenario::steady::MEASURED;

/// The figures that all of these scenarios have.
#[expect(clippy::cast_precision_loss, reason = "exact for 2^53 deliveries")]
pub(in super::super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, value: Option<f64>, unit, better| {
        let value = value.filter(|value| value.is_finite());
        figures.extend(value.map(|value| Figure::new(name, value, unit, better)));
    };
    let deliveries = outcome.counter("deliveries") as f64;
    let published = outcome.counter("published") as f64;
    let seconds = outcome.measured().map(|it| it.as_secs_f64());
    let rate = seconds.map(|seconds| deliveries / seconds);
    add("deliveries", rate, Unit::PerSecond, Better::Higher);
    let latency = outcome.histogram(MEASURED);
    for (name, quantile) in [
        ("delivery p50", 0.5),
        ("delivery p99", 0.99),
        ("delivery p99.9", 0.999),
    ] {
        let value = latency.map(|it| it.quantile(quantile).as_secs_f64());
        add(name, value, Unit::Seconds, Better::Lower);
    }
    let cpu = outcome.cpu("gateway");
    let each = cpu.map(|cpu| cpu / deliveries);
    add("gateway CPU per delivery", each, Unit::Seconds, Better::Lower);
    add(
        "deliveries per gateway CPU second",
        cpu.map(|cpu| deliveries / cpu),
        Unit::PerCpuSecond,
        Better::Higher,
    );
    let each = cpu.map(|cpu| cpu / published);
    add(
        "gateway CPU per publication",
        each,
        Unit::Seconds,
        Better::Neither,
    );
    let each = outcome.cpu("redis").map(|cpu| cpu / published);
    add("shard CPU per publication", each, Unit::Seconds, Better::Lower);
    add(
        "messages per write",
        coalescing(outcome),
        Unit::Ratio,
        Better::Neither,
    );
    figures
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
