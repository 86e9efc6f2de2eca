//! What idle connections come to.

use super::{GONE, STEPS, count_at, kernel, subscriptions};
use crate::measure::Outcome;
use crate::run::Phase;
use crate::scenario::figures::Figures;
use crate::scenario::{Figure, Unit};

const GATEWAY: &str = "gateway";

pub(super) fn of(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    of_gateways(outcome, &mut figures);
    let shards = of_shards(outcome);
    figures.lower("shard memory per subscription", shards, Unit::Bytes);
    let kernel = of_kernel(outcome);
    figures.neither("kernel memory per connection, both ends", kernel, Unit::Bytes);
    // Where the server is elsewhere, nobody counted them.
    let buffers = outcome.recording.counters.get(kernel::BUFFERS);
    let buffers = buffers.map(|kib| as_f64(kib * 1024));
    figures.neither("kernel socket buffers", buffers, Unit::Bytes);
    let busy = share_of_core(outcome);
    figures.lower("gateway CPU while pinging, of a core", busy, Unit::Ratio);
    figures.done()
}

fn of_gateways(outcome: &Outcome, figures: &mut Figures) {
    let memory = "gateway memory per connection";
    figures.lower(memory, growth(outcome, GATEWAY, 0, 2), Unit::Bytes);
    for (part, from, to) in [("the first third", 0, 1), ("the rest", 1, 2)] {
        let each = growth(outcome, GATEWAY, from, to);
        figures.neither(&format!("{memory}, {part}"), each, Unit::Bytes);
    }
    for (name, mark) in [("with all", STEPS[2].0), ("when all have gone", GONE)] {
        let held = outcome.resident(GATEWAY, mark).map(as_f64);
        figures.neither(&format!("gateway memory {name}"), held, Unit::Bytes);
    }
}

/// Bytes of the shards for each subscription.
fn of_shards(outcome: &Outcome) -> Option<f64> {
    let each = subscriptions(&outcome.plan.load).ok().filter(|each| *each > 0)?;
    Some(growth(outcome, "redis", 0, 2)? / as_f64(each as u64))
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
