//! What idle connections come to.

use super::{GONE, STEPS, count_at, kernel, subscriptions};
use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::{Better, Figure, Unit};

const GATEWAY: &str = "gateway";

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, value: Option<f64>, unit, better| {
        figures.extend(value.map(|value| Figure::new(name, value, unit, better)));
    };
    let each = growth(outcome, GATEWAY, 0, 2);
    let memory = "gateway memory per connection";
    add(memory, each, Unit::Bytes, Better::Lower);
    let early = growth(outcome, GATEWAY, 0, 1);
    add(
        &format!("{memory}, the first third"),
        early,
        Unit::Bytes,
        Better::Neither,
    );
    let late = growth(outcome, GATEWAY, 1, 2);
    add(&format!("{memory}, the rest"), late, Unit::Bytes, Better::Neither);
    for (name, mark) in [("with all", STEPS[2].0), ("when all have gone", GONE)] {
        let held = outcome.resident(GATEWAY, mark).map(as_f64);
        add(
            &format!("gateway memory {name}"),
            held,
            Unit::Bytes,
            Better::Neither,
        );
    }
    // The local stack's own names, and those that are found by their addresses.
    let shards = ["redis", "shard"].into_iter();
    let shards = shards.filter_map(|process| growth(outcome, process, 0, 2)).next();
    let shards = shards.and_then(|it| per_subscription(outcome, it));
    add(
        "shard memory per subscription",
        shards,
        Unit::Bytes,
        Better::Lower,
    );
    add(
        "kernel memory per connection, both ends",
        of_kernel(outcome),
        Unit::Bytes,
        Better::Neither,
    );
    let buffers = as_f64(outcome.counter(kernel::BUFFERS) * 1024);
    add(
        "kernel socket buffers",
        Some(buffers),
        Unit::Bytes,
        Better::Neither,
    );
    let busy = share_of_core(outcome);
    add(
        "gateway CPU while pinging, of a core",
        busy,
        Unit::Ratio,
        Better::Lower,
    );
    figures
}

/// Bytes by which a process grew with each connection from one step to another.
fn growth(outcome: &Outcome, process: &str, from: usize, to: usize) -> Option<f64> {
    let at = |step: usize| outcome.resident(process, STEPS[step].0).map(as_f64);
    Some((at(to)? - at(from)?) / connections(outcome, from, to))
}

/// What the kernel's objects take for each connection.
fn of_kernel(outcome: &Outcome) -> Option<f64> {
    let at = |step: usize| as_f64(outcome.counter(kernel::SLAB[step]) * 1024);
    (at(0) > 0.0).then(|| (at(2) - at(0)) / connections(outcome, 0, 2))
}

fn per_subscription(outcome: &Outcome, per_connection: f64) -> Option<f64> {
    let each = subscriptions(&outcome.plan.load).ok().filter(|each| *each > 0)?;
    Some(per_connection / as_f64(each as u64))
}

fn share_of_core(outcome: &Outcome) -> Option<f64> {
    let (measure, settle) = (Phase::Measure.name(), Phase::Settle.name());
    let cpu = outcome.cpu_between(GATEWAY, measure, settle)?;
    Some(cpu / outcome.measured()?.as_secs_f64())
}

/// Connections that came from one step to another.
fn connections(outcome: &Outcome, from: usize, to: usize) -> f64 {
    let load = &outcome.plan.load;
    as_f64((count_at(load, to) - count_at(load, from)) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "exact for 2^53 bytes")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
