//! What a run comes to.

use super::{listeners, reference, trips};
use crate::measure::Outcome;
use crate::scenario::figures::{Figures, count, quantile};
use crate::scenario::{Better, Figure, Unit};

const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")];

pub(super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    let published = count(outcome, "published");
    let measured = outcome.measured();
    let rate = measured.map(|measured| published / measured.as_secs_f64());
    figures.higher("publications_per_second", some(rate), Unit::PerSecond);
    for (process, name) in [
        ("gateway", "gateway_cpu_per_publication"),
        ("redis", "shard_cpu_per_publication"),
    ] {
        let each = outcome.cpu(process).map(|seconds| seconds / published);
        figures.lower(name, some(each), Unit::Seconds);
    }
    latencies(outcome, &mut figures);
    references(outcome, &mut figures);
    parts(outcome, rate, &mut figures);
    figures.done()
}

fn latencies(outcome: &Outcome, figures: &mut Figures) {
    for (histogram, name, better) in [
        ("publish", "publish", Better::Lower),
        (listeners::LATENCY, "deliver", Better::Lower),
        (trips::LATENCY, "bare_round_trip", Better::Neither),
    ] {
        for (share, word) in QUANTILES {
            let value = quantile(outcome, histogram, share);
            figures.add(&format!("{name}_{word}"), some(value), Unit::Seconds, better);
        }
    }
    let added = quantile(outcome, listeners::LATENCY, 0.99)
        .zip(quantile(outcome, trips::LATENCY, 0.99))
        .map(|(deliver, bare)| deliver - bare);
    figures.lower("added_p99", added, Unit::Seconds);
}

/// What the same Redis does without a gateway.
fn references(outcome: &Outcome, figures: &mut Figures) {
    let [script, plain, benchmark, _] = reference::MARKS;
    for (name, names, [from, to]) in [
        ("script", reference::SCRIPT, [script, plain]),
        ("xadd_and_publish", reference::PLAIN, [plain, benchmark]),
    ] {
        let rate = rate_of(outcome, names);
        figures.neither(&format!("{name}_per_second"), some(rate), Unit::PerSecond);
        let cpu = outcome.cpu_between("redis", from, to);
        let each = cpu.map(|seconds| seconds / count(outcome, names[0]));
        figures.neither(&format!("{name}_cpu"), some(each), Unit::Seconds);
    }
    let benchmarked = some(Some(count(outcome, reference::BENCHMARKED)));
    figures.neither("redis_benchmark_per_second", benchmarked, Unit::PerSecond);
}

/// Which part of that goes through the gateway. Only a run without a rate of its own is as fast as it can be.
fn parts(outcome: &Outcome, rate: Option<f64>, figures: &mut Figures) {
    if outcome.plan.load.rate > 0.0 {
        return;
    }
    for (name, reference) in [
        ("part_of_script_rate", rate_of(outcome, reference::SCRIPT)),
        (
            "part_of_redis_benchmark",
            Some(count(outcome, reference::BENCHMARKED)),
        ),
    ] {
        let part = rate.zip(some(reference)).map(|(rate, it)| rate / it);
        figures.higher(name, some(part), Unit::Ratio);
    }
}

/// What is zero was not measured.
fn some(value: Option<f64>) -> Option<f64> {
    value.filter(|value| *value != 0.0)
}

fn rate_of(outcome: &Outcome, [runs, nanoseconds]: [&str; 2]) -> Option<f64> {
    let seconds = count(outcome, nanoseconds) / 1e9;
    (seconds > 0.0).then(|| count(outcome, runs) / seconds)
}
