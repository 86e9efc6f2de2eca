//! What coming and going comes to.

use super::ROUNDS;
use super::visitor::ARRIVAL;
use crate::measure::Outcome;
use crate::scenario::steady::MEASURED;
use crate::scenario::{Better, Figure, Unit};

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, value: Option<f64>, unit, better| {
        figures.extend(value.map(|value| Figure::new(name, value, unit, better)));
    };
    let visits = outcome.histogram(ARRIVAL);
    let count = visits.map(|it| as_f64(it.len()));
    add("clients that came and went", count, Unit::Count, Better::Neither);
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let value = visits.map(|it| it.quantile(quantile).as_secs_f64());
        add(
            &format!("until subscribed {name}"),
            value,
            Unit::Seconds,
            Better::Lower,
        );
    }
    let delivery = outcome
        .histogram(MEASURED)
        .map(|it| it.quantile(0.99).as_secs_f64());
    add(
        "delivery to those who stay p99",
        delivery,
        Unit::Seconds,
        Better::Lower,
    );
    let cpu = outcome
        .cpu("gateway")
        .zip(count)
        .map(|(cpu, count)| cpu / count.max(1.0));
    add(
        "gateway CPU per visit, deliveries included",
        cpu,
        Unit::Seconds,
        Better::Lower,
    );
    for mark in ROUNDS {
        let held = outcome.resident("gateway", mark).map(as_f64);
        add(
            &format!("gateway memory after {}", mark.replace('_', " ")),
            held,
            Unit::Bytes,
            Better::Neither,
        );
    }
    add(
        "gateway memory growth per round",
        growth(outcome),
        Unit::Bytes,
        Better::Lower,
    );
    figures
}

/// Bytes by which memory grew from round to round, without the first, which warms up.
fn growth(outcome: &Outcome) -> Option<f64> {
    let at = |mark| outcome.resident("gateway", mark).map(as_f64);
    let rounds = ROUNDS.len() - 2;
    Some((at(ROUNDS[rounds + 1])? - at(ROUNDS[1])?) / as_f64(rounds as u64))
}

#[expect(clippy::cast_precision_loss, reason = "exact for 2^53")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
