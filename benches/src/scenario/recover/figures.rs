//! The numbers that matter.

use super::client::{ALL_WHOLE, WHOLE};
use super::{BACK, CUT, RETURN};
use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::figures::{Figures, count, quantile};
use crate::scenario::{Figure, Unit};

/// The prefix of the gateways' names among the processes.
const GATEWAY: &str = "gateway";

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
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
        let value = Some(count(outcome, counter)).filter(|value| *value > 0.0 || !name.contains(':'));
        figures.neither(name, value, Unit::Count);
    }
    figures.done()
}

fn whole(outcome: &Outcome, figures: &mut Figures) {
    let all = quantile(outcome, ALL_WHOLE, 1.0);
    figures.lower("all whole after", all, Unit::Seconds);
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let value = quantile(outcome, WHOLE, share);
        figures.lower(&format!("a client whole after, {name}"), value, Unit::Seconds);
    }
}

/// What the gateways read from the shards, by their own metrics.
fn reads(outcome: &Outcome, figures: &mut Figures) {
    let counted = |metric| outcome.counted_between(metric, &[], CUT, Phase::Done.name());
    let gateways = outcome.target.metrics.len().max(1);
    let channels = number(outcome.plan.load.channels) * number(gateways);
    let reads = counted("campanile_recovery_reads_total");
    figures.lower("history reads", reads, Unit::Count);
    figures.lower(
        "history reads per channel and gateway",
        reads.map(|reads| reads / channels.max(1.0)),
        Unit::Ratio,
    );
    for (name, metric) in [
        ("answered from the window", "campanile_recovery_window_hits_total"),
        (
            "answered by another's read",
            "campanile_recovery_single_flight_hits_total",
        ),
    ] {
        figures.neither(name, counted(metric), Unit::Count);
    }
    let heard = "campanile_messages_received_total";
    let heard = outcome.counted_between(heard, &[("outcome", "passed")], RETURN, BACK);
    let time = outcome.between(RETURN, BACK).unwrap_or_default().as_secs_f64();
    let rate = heard.map(|heard| heard / time.max(0.001));
    figures.neither("publications heard meanwhile", rate, Unit::PerSecond);
}

/// What the witnesses saw.
fn live(outcome: &Outcome, figures: &mut Figures) {
    for (who, names) in [
        ("apart", ["apart_before", "apart_during", "apart_after"]),
        ("among", ["among_before", "among_during", "among_after"]),
    ] {
        let times = names.map(|name| quantile(outcome, name, 0.99));
        for (when, time) in ["before", "during", "after"].into_iter().zip(times) {
            figures.lower(&format!("live p99 {who}, {when}"), time, Unit::Seconds);
        }
        let [before, during, _] = times;
        let ratio = during
            .zip(before)
            .map(|(during, before)| during / before.max(1e-9));
        figures.lower(&format!("live p99 {who}, during to before"), ratio, Unit::Ratio);
    }
}

/// What the storm cost the gateways beyond what they do anyway.
fn cpu(outcome: &Outcome, figures: &mut Figures) {
    let measure = Phase::Measure.name();
    let rate = |from, to| {
        let time = outcome.between(from, to)?.as_secs_f64();
        Some(outcome.cpu_between(GATEWAY, from, to)? / time.max(0.001))
    };
    let (Some(storm), Some(usual)) = (outcome.cpu_between(GATEWAY, CUT, BACK), rate(measure, CUT)) else {
        return;
    };
    let time = outcome.between(CUT, BACK).unwrap_or_default().as_secs_f64();
    let each = (storm - usual * time).max(0.0) / count(outcome, "returned").max(1.0);
    figures.lower("gateway CPU, cut to back", Some(storm), Unit::Seconds);
    figures.lower("gateway CPU per recovered client", Some(each), Unit::Seconds);
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
fn number(count: usize) -> f64 {
    count as f64
}
