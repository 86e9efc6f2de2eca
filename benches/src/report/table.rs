//! Tables for terminals: plain ASCII, so that they survive logs, mails and every font.

mod grid;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Document, Report, words};
use crate::compare::Comparison;
use crate::measure::processes::Sample;
use crate::measure::{Histogram, ProcessUse};
use grid::Grid;

/// Violations that are shown with their details.
const EXAMPLES: usize = 10;

/// The document as text, with a line break at its end.
#[must_use]
pub fn text(document: &Document) -> String {
    match document {
        Document::Run(report) => run(report),
        Document::Comparison(comparison) => self::comparison(comparison),
    }
}

fn run(report: &Report) -> String {
    let mut parts = vec![
        heading(report),
        figures(report),
        latencies(report),
        processes(report),
        counters(report),
        report
            .notes()
            .iter()
            .fold(String::new(), |text, note| text + note + "\n"),
        verdict(report),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn heading(report: &Report) -> String {
    let outcome = &report.outcome;
    format!(
        "{}: {}\n{}\n{} on {} cores\n",
        outcome.plan.scenario,
        report.about,
        words::plan(&outcome.plan),
        outcome.target.urls.join(", "),
        outcome.machine.cores,
    )
}

fn figures(report: &Report) -> String {
    let mut grid = Grid::new(1, ["figure", "value"]);
    for figure in &report.figures {
        grid.row([figure.name.clone(), words::value(figure.value, figure.unit)]);
    }
    grid.text()
}

fn latencies(report: &Report) -> String {
    let mut grid = Grid::new(1, LATENCY_COLUMNS);
    for (name, histogram) in &report.outcome.recording.histograms {
        if !histogram.is_empty() {
            grid.row(latency(name, histogram));
        }
    }
    grid.text()
}

/// What the columns of [`latency`] are.
pub(super) const LATENCY_COLUMNS: [&str; 8] =
    ["latency", "count", "mean", "p50", "p90", "p99", "p99.9", "max"];

/// A histogram's row, here and on pages.
pub(super) fn latency(name: &str, histogram: &Histogram) -> [String; 8] {
    let quantile = |share| words::seconds(histogram.quantile(share).as_secs_f64());
    [
        name.to_owned(),
        words::count(histogram.len()),
        words::seconds(histogram.mean().as_secs_f64()),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999),
        words::seconds(histogram.max().as_secs_f64()),
    ]
}

/// What the columns of [`phases`] are.
pub(super) const PHASE_COLUMNS: [&str; 9] = [
    "process", "phase", "time", "CPU", "user", "kernel", "cores", "memory", "growth",
];

fn processes(report: &Report) -> String {
    let mut grid = Grid::new(2, PHASE_COLUMNS);
    for process in &report.outcome.processes {
        phases(process).into_iter().for_each(|row| grid.row(row));
    }
    grid.text()
}

/// A process's rows, here and on pages: one for each phase.
pub(super) fn phases(process: &ProcessUse) -> Vec<[String; 9]> {
    let row = |(phase, before, after): (&str, Sample, Sample)| {
        let (first, last) = (before.usage, after.usage);
        let memory = bytes(last.resident_bytes);
        let user = last.user_seconds - first.user_seconds;
        let kernel = last.system_seconds - first.system_seconds;
        [
            process.name.clone(),
            phase.to_owned(),
            words::seconds(after.at.since(before.at).as_secs_f64()),
            words::seconds(user + kernel),
            words::seconds(user),
            words::seconds(kernel),
            after
                .cores_since(&before)
                .map_or_else(String::new, |cores| format!("{cores:.3}")),
            words::bytes(memory),
            words::bytes(memory - bytes(first.resident_bytes)),
        ]
    };
    process.phases().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "it is shown")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

fn counters(report: &Report) -> String {
    let recording = &report.outcome.recording;
    let of = |heading, whole: bool| {
        let mut grid = Grid::new(1, [heading, "count"]);
        let counters = recording.counters.iter();
        for (name, value) in counters.filter(|(name, _)| recording.totals.contains(*name) == whole) {
            grid.row([name.clone(), words::count(*value)]);
        }
        grid.text()
    };
    let mut parts = vec![of("while measuring", false), of("in the whole run", true)];
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn verdict(report: &Report) -> String {
    let recording = &report.outcome.recording;
    if report.outcome.held() {
        return "every promise that was checked was kept\n".to_owned();
    }
    let mut text = format!("BROKEN PROMISES: {}\n", words::count(recording.violation_count));
    for violation in recording.violations.iter().take(EXAMPLES) {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {}: {}", violation.kind.broken(), violation.detail);
    }
    let shown = recording.violations.len().min(EXAMPLES) as u64;
    if recording.violation_count > shown {
        let _ = writeln!(
            text,
            "  and {} more",
            words::count(recording.violation_count - shown)
        );
    }
    text
}

fn comparison(comparison: &Comparison) -> String {
    let [first, second] = &comparison.names;
    let mut text = format!(
        "A = {first}\nB = {second}\n{} rounds, A B A B\n\n",
        comparison.rounds.len()
    );
    let mut grid = Grid::new(1, ["figure (medians)", "A", "B", "A/B", "lowest", "highest", ""]);
    for ratio in &comparison.ratios {
        let spread = &ratio.spread;
        grid.row([
            ratio.name.clone(),
            words::value(ratio.medians[0], ratio.unit),
            words::value(ratio.medians[1], ratio.unit),
            words::ratio(spread.median),
            words::ratio(spread.lowest),
            words::ratio(spread.highest),
            ratio.says().to_owned(),
        ]);
    }
    text += &grid.text();
    for (round, runs) in comparison.rounds.iter().enumerate() {
        for (side, report) in ["A", "B"].iter().zip(runs) {
            if !report.outcome.held() {
                let _ = write!(text, "\nround {} of {side}: {}", round + 1, verdict(report));
            }
        }
    }
    text += &unseen(comparison);
    if comparison.held() {
        text += "\nevery promise that was checked was kept\n";
    }
    text
}

/// What could not be measured or checked, on either side.
fn unseen(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (index, side) in ["A", "B"].iter().enumerate() {
        let runs = comparison.rounds.iter().map(|runs| &runs[index].outcome);
        let unseen: BTreeSet<_> = runs.flat_map(|run| &run.unseen).collect();
        for what in unseen {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "\nof {side} not measured: {what}");
        }
    }
    text
}
