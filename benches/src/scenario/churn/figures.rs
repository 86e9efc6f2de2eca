//! What coming and going comes to.

use super::ROUNDS;
use super::visitor::ARRIVAL;
use crate::measure::Outcome;
use crate::scenario::figures::{Figures, quantile};
use crate::scenario::steady::MEASURED;
use crate::scenario::{Figure, Unit};

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    let count = outcome.histogram(ARRIVAL).map(|it| as_f64(it.len()));
    figures.neither("clients that came and went", count, Unit::Count);
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let value = quantile(outcome, ARRIVAL, share);
        figures.lower(&format!("until subscribed {name}"), value, Unit::Seconds);
    }
    let delivery = quantile(outcome, MEASURED, 0.99);
    figures.lower("delivery to those who stay p99", delivery, Unit::Seconds);
    let cpu = outcome.cpu("gateway").zip(count);
    figures.lower(
        "gateway CPU per visit, deliveries included",
        cpu.map(|(cpu, count)| cpu / count.max(1.0)),
        Unit::Seconds,
    );
    memory(outcome, &mut figures);
    figures.done()
}

fn memory(outcome: &Outcome, figures: &mut Figures) {
    for mark in ROUNDS {
        let held = outcome.resident("gateway", mark).map(as_f64);
        let name = format!("gateway memory after {}", mark.replace('_', " "));
        figures.neither(&name, held, Unit::Bytes);
    }
    figures.lower("gateway memory growth per round", growth(outcome), Unit::Bytes);
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
