//! What a run of `reshard` comes to.

use std::time::Duration;

use super::operator::PAUSE_AT_MOST;
use crate::measure::Outcome;
use crate::scenario::figures::{Figures, count, quantile};
use crate::scenario::{Figure, Unit};

/// One step of the run, between its marks.
struct Step {
    begin: String,
    end: String,
    took: Duration,
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)];

pub(in crate::scenario) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let steps = steps(outcome);
    let mut figures = Figures::default();
    moves(outcome, &steps, &mut figures);
    pauses(outcome, &mut figures);
    processes(outcome, &steps, &mut figures);
    latencies(outcome, &mut figures);
    deliveries(outcome, &mut figures);
    figures.done()
}

fn steps(outcome: &Outcome) -> Vec<Step> {
    let step = |number: usize| {
        let (begin, end) = (format!("{number} begins"), format!("{number} ends"));
        let took = outcome.between(&begin, &end)?;
        Some(Step { begin, end, took })
    };
    (1..).map_while(step).collect()
}

/// How fast it went.
fn moves(outcome: &Outcome, steps: &[Step], figures: &mut Figures) {
    let (partitions, bytes) = (count(outcome, "partitions_moved"), count(outcome, "bytes_moved"));
    let seconds: f64 = steps.iter().map(|step| step.took.as_secs_f64()).sum();
    figures.lower("time to add a shard", mean_time(steps, 0), Unit::Seconds);
    figures.lower("time to drain a shard", mean_time(steps, 1), Unit::Seconds);
    figures.neither("partitions moved", Some(partitions), Unit::Count);
    figures.neither("bytes moved", Some(bytes), Unit::Bytes);
    let rates = [partitions, bytes].map(|moved| Some(moved / seconds));
    figures.higher("partitions moved a second", rates[0], Unit::PerSecond);
    figures.higher("bytes moved a second", rates[1], Unit::Bytes);
}

/// The mean time of every other step. They take turns: a shard joins, a shard is drained.
fn mean_time(steps: &[Step], skip: usize) -> Option<f64> {
    let each = steps
        .iter()
        .skip(skip)
        .step_by(2)
        .map(|step| step.took.as_secs_f64());
    let (sum, count) = each.fold((0.0, 0.0), |(sum, count), seconds| (sum + seconds, count + 1.0));
    Some(sum / count)
}

/// How long partitions were closed, as far as the gateways' buckets tell.
fn pauses(outcome: &Outcome, figures: &mut Figures) {
    let mean = count(outcome, "pause_nanoseconds") / 1e9 / count(outcome, "pauses");
    let words = "a partition is closed for";
    figures.lower(&format!("{words}, on average"), Some(mean), Unit::Seconds);
    for (name, share) in QUANTILES {
        let pause = quantile(outcome, PAUSE_AT_MOST, share);
        figures.lower(&format!("{words}, {name} at most"), pause, Unit::Seconds);
    }
}

/// What the moves cost beyond what the load costs anyway.
fn processes(outcome: &Outcome, steps: &[Step], figures: &mut Figures) {
    let costs = [("gateway", "gateways"), ("redis", "shards")]
        .map(|(process, words)| (words, cost(outcome, steps, process)));
    for (words, cost) in costs {
        figures.lower(&format!("CPU of {words} for the moves"), cost, Unit::Seconds);
    }
    let known = costs.iter().filter_map(|(_, cost)| *cost);
    let Some(sum) = known.reduce(|sum, cost| sum + cost) else {
        return;
    };
    let [partitions, bytes] = ["partitions_moved", "bytes_moved"].map(|name| count(outcome, name));
    if partitions > 0.0 && bytes > 0.0 {
        figures.lower("CPU for a partition", Some(sum / partitions), Unit::Seconds);
        figures.lower("CPU for a megabyte", Some(sum / bytes * 1e6), Unit::Seconds);
    }
}

/// CPU seconds of processes during the steps beyond what they used in the calm while.
fn cost(outcome: &Outcome, steps: &[Step], process: &str) -> Option<f64> {
    let before = outcome.cpu_between(process, "measure", "calm")?;
    let calm = outcome.between("measure", "calm").unwrap_or_default();
    let during = steps.iter().filter_map(|step| {
        let used = outcome.cpu_between(process, &step.begin, &step.end)?;
        Some(used - before / calm.as_secs_f64() * step.took.as_secs_f64())
    });
    Some(during.sum())
}

/// What publishers and watchers noticed.
fn latencies(outcome: &Outcome, figures: &mut Figures) {
    for (latency, words) in [
        ("publish", "publish, partition at rest"),
        ("publish_moving", "publish, partition moving"),
        ("deliver", "publish to delivery, partition at rest"),
        ("deliver_moving", "publish to delivery, partition moving"),
    ] {
        for (name, share) in QUANTILES {
            let value = quantile(outcome, latency, share);
            figures.lower(&format!("{words}: {name}"), value, Unit::Seconds);
        }
    }
    let silence = quantile(outcome, "silence", 1.0);
    let words = "longest silence of a channel beyond what was meant";
    figures.lower(words, silence, Unit::Seconds);
}

fn deliveries(outcome: &Outcome, figures: &mut Figures) {
    for (name, words) in [
        ("published", "publications"),
        ("deliveries", "deliveries"),
        ("publish_refused", "publications refused"),
        ("publish_unknown", "publications without an answer"),
        ("held_back", "messages held back"),
        ("held_back_dropped", "messages held back and dropped"),
        ("recoveries", "recoveries"),
        ("recovered_false", "recovered=false"),
        ("streams_read_again", "streams at rest that were read again"),
    ] {
        figures.neither(words, Some(count(outcome, name)), Unit::Count);
    }
    let seconds = outcome.measured().unwrap_or_default().as_secs_f64();
    let rate = count(outcome, "deliveries") / seconds;
    figures.neither("deliveries a second", Some(rate), Unit::PerSecond);
}
