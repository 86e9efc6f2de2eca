//! What a run of `reshard` comes to.

use std::time::Duration;

use crate::measure::Outcome;
use crate::scenario::{Better, Figure, Unit};

/// One step of the run, between its marks.
struct Step {
    begin: String,
    end: String,
    took: Duration,
}

pub(in crate::scenario) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let steps = steps(outcome);
    let mut figures = moves(outcome, &steps);
    figures.extend(processes(outcome, &steps));
    figures.extend(latencies(outcome));
    figures.extend(deliveries(outcome));
    figures
}

fn steps(outcome: &Outcome) -> Vec<Step> {
    let step = |number: usize| {
        let (begin, end) = (format!("{number} begins"), format!("{number} ends"));
        let took = outcome.between(&begin, &end)?;
        Some(Step { begin, end, took })
    };
    (1..).map_while(step).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn counter(outcome: &Outcome, name: &str) -> f64 {
    outcome.counter(name) as f64
}

/// How fast it went. Steps take turns: a shard joins, a shard is drained.
fn moves(outcome: &Outcome, steps: &[Step]) -> Vec<Figure> {
    let time = |skip: usize| {
        let each = steps
            .iter()
            .skip(skip)
            .step_by(2)
            .map(|step| step.took.as_secs_f64());
        let (sum, count) = each.fold((0.0, 0.0), |(sum, count), seconds| (sum + seconds, count + 1.0));
        sum / count
    };
    let (partitions, bytes) = (
        counter(outcome, "partitions_moved"),
        counter(outcome, "bytes_moved"),
    );
    let seconds: f64 = steps.iter().map(|step| step.took.as_secs_f64()).sum();
    let pause = counter(outcome, "pause_nanoseconds") / 1e9 / counter(outcome, "pauses");
    let figures = [
        ("time to add a shard", time(0), Unit::Seconds, Better::Lower),
        ("time to drain a shard", time(1), Unit::Seconds, Better::Lower),
        ("partitions moved", partitions, Unit::Count, Better::Neither),
        ("bytes moved", bytes, Unit::Bytes, Better::Neither),
        (
            "partitions moved a second",
            partitions / seconds,
            Unit::PerSecond,
            Better::Higher,
        ),
        (
            "bytes moved a second",
            bytes / seconds,
            Unit::Bytes,
            Better::Higher,
        ),
        (
            "a partition is closed for, on average",
            pause,
            Unit::Seconds,
            Better::Lower,
        ),
    ];
    let figure =
        |(name, value, unit, better): (&str, f64, Unit, Better)| Figure::new(name, value, unit, better);
    figures
        .into_iter()
        .filter(|(_, value, ..)| value.is_finite())
        .map(figure)
        .collect()
}

/// What the moves cost beyond what the load costs anyway.
fn processes(outcome: &Outcome, steps: &[Step]) -> Vec<Figure> {
    let (partitions, bytes) = (
        counter(outcome, "partitions_moved"),
        counter(outcome, "bytes_moved"),
    );
    let calm = outcome
        .between("measure", "calm")
        .unwrap_or_default()
        .as_secs_f64();
    let mut figures = Vec::new();
    let mut sum = 0.0;
    for (process, words) in [("gateway", "gateways"), ("redis", "shards")] {
        let Some(before) = outcome.cpu_between(process, "measure", "calm") else {
            continue;
        };
        let during = steps.iter().filter_map(|step| {
            let used = outcome.cpu_between(process, &step.begin, &step.end)?;
            Some(used - before / calm * step.took.as_secs_f64())
        });
        let cost: f64 = during.sum();
        sum += cost;
        let name = format!("CPU of {words} for the moves");
        figures.push(Figure::new(name, cost, Unit::Seconds, Better::Lower));
    }
    if !figures.is_empty() && partitions > 0.0 && bytes > 0.0 {
        let each = [
            ("CPU for a partition", sum / partitions),
            ("CPU for a megabyte", sum / bytes * 1e6),
        ];
        figures.extend(each.map(|(name, value)| Figure::new(name, value, Unit::Seconds, Better::Lower)));
    }
    figures
}

/// What publishers and watchers noticed.
fn latencies(outcome: &Outcome) -> Vec<Figure> {
    let kinds = [
        ("publish", "publish, partition at rest"),
        ("publish_moving", "publish, partition moving"),
        ("deliver", "publish to delivery, partition at rest"),
        ("deliver_moving", "publish to delivery, partition moving"),
    ];
    let mut figures = Vec::new();
    let mut figure = |name: String, value: Duration| {
        figures.push(Figure::new(
            name,
            value.as_secs_f64(),
            Unit::Seconds,
            Better::Lower,
        ));
    };
    for (name, words) in kinds {
        if let Some(histogram) = outcome.histogram(name) {
            for (quantile, part) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
                figure(format!("{words}: {quantile}"), histogram.quantile(part));
            }
            figure(format!("{words}: longest"), histogram.max());
        }
    }
    if let Some(histogram) = outcome.histogram("silence") {
        figure(
            "longest silence of a channel beyond what was meant".to_owned(),
            histogram.max(),
        );
    }
    figures
}

fn deliveries(outcome: &Outcome) -> Vec<Figure> {
    let counts = [
        ("published", "publications"),
        ("deliveries", "deliveries"),
        ("publish_refused", "publications refused"),
        ("publish_unknown", "publications without an answer"),
        ("held_back", "messages held back"),
        ("held_back_dropped", "messages held back and dropped"),
        ("recoveries", "recoveries"),
        ("recovered_false", "recovered=false"),
        ("streams_read_again", "streams at rest that were read again"),
    ];
    let seconds = outcome.measured().unwrap_or_default().as_secs_f64();
    let rate = counter(outcome, "deliveries") / seconds;
    let figure = |(name, words)| Figure::new(words, counter(outcome, name), Unit::Count, Better::Neither);
    let mut figures: Vec<_> = counts.into_iter().map(figure).collect();
    if rate.is_finite() {
        figures.push(Figure::new(
            "deliveries a second",
            rate,
            Unit::PerSecond,
            Better::Neither,
        ));
    }
    figures
}
