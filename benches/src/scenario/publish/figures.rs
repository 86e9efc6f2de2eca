//! What a run comes to.

use super::{listeners, reference, trips};
use crate::measure::Outcome;
use crate::scenario::{Better, Figure, Unit};

const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")];

pub(super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Vec::new();
    let published = count(outcome, "published");
    let rate = outcome
        .measured()
        .map(|measured| published / measured.as_secs_f64());
    add(
        &mut figures,
        "publications_per_second",
        rate,
        Unit::PerSecond,
        Better::Higher,
    );
    for (process, name) in [
        ("gateway", "gateway_cpu_per_publication"),
        ("redis", "shard_cpu_per_publication"),
    ] {
        let each = outcome.cpu(process).map(|seconds| seconds / published);
        add(&mut figures, name, each, Unit::Seconds, Better::Lower);
    }
    for (histogram, name) in [
        ("publish", "publish"),
        (listeners::LATENCY, "deliver"),
        (trips::LATENCY, "bare_round_trip"),
    ] {
        for (quantile, word) in QUANTILES {
            let better = if histogram == trips::LATENCY {
                Better::Neither
            } else {
                Better::Lower
            };
            let value = quantile_of(outcome, histogram, quantile);
            add(
                &mut figures,
                &format!("{name}_{word}"),
                value,
                Unit::Seconds,
                better,
            );
        }
    }
    let added = quantile_of(outcome, listeners::LATENCY, 0.99)
        .zip(quantile_of(outcome, trips::LATENCY, 0.99))
        .map(|(deliver, bare)| deliver - bare);
    add(&mut figures, "added_p99", added, Unit::Seconds, Better::Lower);
    references(outcome, rate, &mut figures);
    figures
}

fn references(outcome: &Outcome, rate: Option<f64>, figures: &mut Vec<Figure>) {
    let [script, plain, benchmark, _] = reference::MARKS;
    let script_rate = rate_of(outcome, reference::SCRIPT);
    add(
        figures,
        "script_per_second",
        script_rate,
        Unit::PerSecond,
        Better::Neither,
    );
    let each = outcome
        .cpu_between("redis", script, plain)
        .map(|seconds| seconds / count(outcome, reference::SCRIPT[0]));
    add(figures, "script_cpu", each, Unit::Seconds, Better::Neither);
    let plain_rate = rate_of(outcome, reference::PLAIN);
    add(
        figures,
        "xadd_and_publish_per_second",
        plain_rate,
        Unit::PerSecond,
        Better::Neither,
    );
    let each = outcome
        .cpu_between("redis", plain, benchmark)
        .map(|seconds| seconds / count(outcome, reference::PLAIN[0]));
    add(
        figures,
        "xadd_and_publish_cpu",
        each,
        Unit::Seconds,
        Better::Neither,
    );
    let benchmarked = Some(count(outcome, reference::BENCHMARKED));
    add(
        figures,
        "redis_benchmark_per_second",
        benchmarked,
        Unit::PerSecond,
        Better::Neither,
    );
    // Without a rate of its own the run is as fast as it can be; then the two can be compared.
    let limit = Some(outcome.plan.load.rate).filter(|rate| *rate > 0.0);
    for (name, reference) in [
        ("part_of_script_rate", script_rate),
        ("part_of_redis_benchmark", benchmarked),
    ] {
        let part = rate.zip(reference).filter(|_| limit.is_none());
        add(
            figures,
            name,
            part.map(|(rate, it)| rate / it),
            Unit::Ratio,
            Better::Higher,
        );
    }
}

/// Adds a figure if there is one.
fn add(figures: &mut Vec<Figure>, name: &str, value: Option<f64>, unit: Unit, better: Better) {
    let value = value.filter(|value| value.is_finite() && *value != 0.0);
    figures.extend(value.map(|value| Figure::new(name, value, unit, better)));
}

fn quantile_of(outcome: &Outcome, name: &str, quantile: f64) -> Option<f64> {
    let histogram = outcome.histogram(name)?;
    Some(histogram.quantile(quantile).as_secs_f64())
}

fn rate_of(outcome: &Outcome, [runs, nanoseconds]: [&str; 2]) -> Option<f64> {
    let seconds = count(outcome, nanoseconds) / 1e9;
    (seconds > 0.0).then(|| count(outcome, runs) / seconds)
}

#[expect(clippy::cast_precision_loss, reason = "exact to 2^53")]
fn count(outcome: &Outcome, name: &str) -> f64 {
    outcome.counter(name) as f64
}
