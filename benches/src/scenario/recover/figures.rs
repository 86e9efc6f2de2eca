//! The numbers that matter.

use std::time::Duration;

use super::{BACK, CUT, RETURN};
use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::{Better, Figure, Unit};

/// The prefix of the gateways' names among the processes.
const GATEWAY: &str = "gateway";

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Vec::new();
    whole(outcome, &mut figures);
    reads(outcome, &mut figures);
    live(outcome, &mut figures);
    cpu(outcome, &mut figures);
    for (name, counter) in [
        ("recovered", "recovered"),
        ("not recovered", "not_recovered"),
        ("not recovered: epoch_changed", "epoch_changed"),
        ("not recovered: shard_lost", "shard_lost"),
        ("not recovered: position_expired", "position_expired"),
        ("not recovered: position_ahead", "position_ahead"),
        ("not recovered: limit_exceeded", "limit_exceeded"),
        ("not recovered: other", "other_reason"),
    ] {
        let count = outcome.counter(counter);
        if count > 0 || !name.contains(':') {
            figures.push(Figure::new(name, number(count), Unit::Count, Better::Neither));
        }
    }
    figures
}

fn whole(outcome: &Outcome, figures: &mut Vec<Figure>) {
    let Some(whole) = outcome.histogram("whole") else {
        return;
    };
    let mut add = |name: &str, time: Duration| {
        figures.push(Figure::new(
            name,
            time.as_secs_f64(),
            Unit::Seconds,
            Better::Lower,
        ));
    };
    add("all whole after", whole.max());
    add("a client whole after, p50", whole.quantile(0.5));
    add("a client whole after, p99", whole.quantile(0.99));
}

/// What the gateways read from the shards, by their own metrics.
fn reads(outcome: &Outcome, figures: &mut Vec<Figure>) {
    let counted =
        |metric, labels: &[(&str, &str)]| outcome.counted_between(metric, labels, CUT, Phase::Done.name());
    let gateways = outcome.target.metrics.len().max(1);
    let channels = number(outcome.plan.load.channels as u64) * number(gateways as u64);
    if let Some(reads) = counted("campanile_recovery_reads_total", &[]) {
        let each = reads / channels.max(1.0);
        figures.push(Figure::new("history reads", reads, Unit::Count, Better::Lower));
        figures.push(Figure::new(
            "history reads per channel and gateway",
            each,
            Unit::Ratio,
            Better::Lower,
        ));
    }
    for (name, metric) in [
        ("answered from the window", "campanile_recovery_window_hits_total"),
        (
            "answered by another's read",
            "campanile_recovery_single_flight_hits_total",
        ),
    ] {
        let counted = counted(metric, &[]);
        figures.extend(counted.map(|count| Figure::new(name, count, Unit::Count, Better::Neither)));
    }
    let heard = "campanile_messages_received_total";
    let heard = outcome.counted_between(heard, &[("outcome", "passed")], RETURN, BACK);
    if let (Some(heard), Some(time)) = (heard, outcome.between(RETURN, BACK)) {
        let rate = heard / time.as_secs_f64().max(0.001);
        figures.push(Figure::new(
            "publications heard meanwhile",
            rate,
            Unit::PerSecond,
            Better::Neither,
        ));
    }
}

/// What the witnesses saw.
fn live(outcome: &Outcome, figures: &mut Vec<Figure>) {
    for (who, [before, during, after]) in [
        ("apart", ["apart_before", "apart_during", "apart_after"]),
        ("among", ["among_before", "among_during", "among_after"]),
    ] {
        let p99 = |name| Some(outcome.histogram(name)?.quantile(0.99).as_secs_f64());
        for (when, name) in [("before", before), ("during", during), ("after", after)] {
            let figure = |time| {
                Figure::new(
                    format!("live p99 {who}, {when}"),
                    time,
                    Unit::Seconds,
                    Better::Lower,
                )
            };
            figures.extend(p99(name).map(figure));
        }
        if let (Some(before), Some(during)) = (p99(before), p99(during)) {
            figures.push(Figure::new(
                format!("live p99 {who}, during to before"),
                during / before.max(1e-9),
                Unit::Ratio,
                Better::Lower,
            ));
        }
    }
}

/// What the storm cost the gateways beyond what they do anyway.
fn cpu(outcome: &Outcome, figures: &mut Vec<Figure>) {
    let measure = Phase::Measure.name();
    let rate = |from, to| {
        let time = outcome.between(from, to)?.as_secs_f64();
        Some(outcome.cpu_between(GATEWAY, from, to)? / time.max(0.001))
    };
    let (Some(storm), Some(usual)) = (outcome.cpu_between(GATEWAY, CUT, BACK), rate(measure, CUT)) else {
        return;
    };
    let time = outcome.between(CUT, BACK).unwrap_or_default().as_secs_f64();
    let each = (storm - usual * time).max(0.0) / number(outcome.counter("returned")).max(1.0);
    figures.push(Figure::new(
        "gateway CPU, cut to back",
        storm,
        Unit::Seconds,
        Better::Lower,
    ));
    figures.push(Figure::new(
        "gateway CPU per recovered client",
        each,
        Unit::Seconds,
        Better::Lower,
    ));
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
fn number(count: u64) -> f64 {
    count as f64
}
