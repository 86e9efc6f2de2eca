//! Which tables a page has.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Shown;
use super::text::{Escaped, quantity};
use crate::compare::{Comparison, Spread};
use crate::report::{Report, table, words};
use crate::run::Phase;
use crate::scenario::{Better, Figure};

/// Violations that are shown with their details.
const EXAMPLES: usize = 20;

/// A table; its first columns are words and stand at the left, the others at the right. Cells are HTML.
fn grid(words: usize, header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let class = |column| if column < words { "" } else { " class=\"n\"" };
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = String>| -> String {
        let cell = |(column, cell): (usize, String)| format!("<{tag}{}>{cell}</{tag}>", class(column));
        cells.enumerate().map(cell).collect()
    };
    let head = cells("th", &mut header.iter().map(|name| Escaped(name).to_string()));
    let mut text = format!("<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
    for row in rows {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "<tr>{}</tr>", cells("td", &mut row.iter().cloned()));
    }
    text + "</tbody>\n</table></div>\n"
}

/// Whether promises were kept, and what else a reader should know first.
pub(super) fn verdict(shown: &[Shown<'_>]) -> String {
    let mut text = String::new();
    for run in shown.iter().filter(|run| !run.report.outcome.held()) {
        let recording = &run.report.outcome.recording;
        let _ = write!(
            text,
            "<div class=\"verdict broken\"><b>{} broken promises</b> in {}<ul>",
            words::count(recording.violation_count),
            Escaped(run.name),
        );
        for violation in recording.violations.iter().take(EXAMPLES) {
            let _ = write!(
                text,
                "<li><b>{}</b> {}</li>",
                violation.kind.broken(),
                Escaped(&violation.detail)
            );
        }
        text += "</ul></div>\n";
    }
    if text.is_empty() {
        text += "<div class=\"verdict kept\">Every promise that was checked was kept.</div>\n";
    }
    let notes: BTreeSet<_> = shown.iter().flat_map(|run| run.report.notes()).collect();
    for note in notes {
        let _ = writeln!(text, "<p class=\"note\">{}</p>", Escaped(&note));
    }
    text
}

/// The figures: as tiles for one run, as a table with a column for each of several.
pub(super) fn figures(shown: &[Shown<'_>]) -> String {
    let [run] = shown else {
        return side_by_side(shown);
    };
    let mut text = String::new();
    for figure in &run.report.figures {
        let _ = writeln!(
            text,
            "<div class=\"tile\"><span class=\"value\">{}</span><span class=\"what\">{}</span></div>",
            quantity(&words::value(figure.value, figure.unit)),
            Escaped(&figure.name),
        );
    }
    if text.is_empty() {
        text
    } else {
        format!("<section class=\"tiles\">\n{text}</section>\n")
    }
}

fn side_by_side(shown: &[Shown<'_>]) -> String {
    let Some(first) = shown.first() else {
        return String::new();
    };
    let mut header = vec!["figure"];
    header.extend(shown.iter().map(|run| run.name));
    let row = |figure: &Figure| {
        let mut row = vec![format!("{}{}", Escaped(&figure.name), direction(figure.better))];
        row.extend(shown.iter().map(|run| beside(run.report, figure)));
        row
    };
    let rows: Vec<_> = first.report.figures.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>Figures</h2>\n{}</section>\n",
        grid(1, &header, &rows)
    )
}

/// A run's figure of the same name, and what multiple of the first run's it is.
fn beside(report: &Report, first: &Figure) -> String {
    let Some(figure) = report.figures.iter().find(|figure| figure.name == first.name) else {
        return String::new();
    };
    let value = quantity(&words::value(figure.value, figure.unit));
    let ratio = figure.value / first.value;
    if std::ptr::eq(figure, first) || !ratio.is_finite() {
        return value;
    }
    format!("{value}<br><small>\u{d7}\u{a0}{}</small>", words::ratio(ratio))
}

fn direction(better: Better) -> &'static str {
    match better {
        Better::Lower => "<br><small>less is better</small>",
        Better::Higher => "<br><small>more is better</small>",
        Better::Neither => "",
    }
}

/// The ratios of a comparison, with a drawing of their spread.
pub(super) fn ratios(comparison: &Comparison) -> String {
    let spreads = comparison.ratios.iter().map(|ratio| ratio.spread);
    // All drawings of a table have the same bounds, the same distance below 1 and above it.
    let far = spreads
        .flat_map(|spread| [spread.lowest, spread.highest])
        .filter(|ratio| *ratio > 0.0)
        .map(|ratio| ratio.ln().abs())
        .fold(0.1_f64, f64::max);
    let row = |ratio: &crate::compare::Ratio| {
        vec![
            format!("{}{}", Escaped(&ratio.name), direction(ratio.better)),
            spread(&ratio.spread, far),
            format!("<b>{}</b>", words::ratio(ratio.spread.median)),
            format!(
                "{}\u{2013}{}",
                words::ratio(ratio.spread.lowest),
                words::ratio(ratio.spread.highest)
            ),
            quantity(&words::value(ratio.medians[0], ratio.unit)),
            quantity(&words::value(ratio.medians[1], ratio.unit)),
            ratio.says().to_owned(),
        ]
    };
    let rows: Vec<_> = comparison.ratios.iter().map(row).collect();
    grid(
        2,
        &[
            "figure",
            "A / B",
            "median",
            "lowest\u{2013}highest",
            "A",
            "B",
            "says",
        ],
        &rows,
    )
}

/// A bar from the lowest to the highest ratio with a dot at the median; the line in the middle is 1.
fn spread(spread: &Spread, far: f64) -> String {
    let place = |ratio: f64| 60.0 + (ratio.max(1e-9).ln() / far).clamp(-1.0, 1.0) * 54.0;
    format!(
        "<svg class=\"spread\" viewBox=\"0 0 120 16\" aria-hidden=\"true\"><path class=\"grid\" d=\"M60 0V16\"/>\
         <path class=\"bar\" d=\"M{:.1} 8H{:.1}\"/><circle class=\"median\" cx=\"{:.1}\" cy=\"8\" r=\"4\"/></svg>",
        place(spread.lowest),
        // A bar without length is not drawn.
        place(spread.highest).max(place(spread.lowest) + 0.5),
        place(spread.median),
    )
}

/// Percentiles of every kind of latency and every run.
pub(super) fn latencies(shown: &[Shown<'_>]) -> String {
    let several = shown.len() > 1;
    let names: BTreeSet<_> = shown
        .iter()
        .flat_map(|run| run.report.outcome.recording.histograms.keys())
        .collect();
    let mut rows = Vec::new();
    for name in names {
        for run in shown {
            if let Some(histogram) = run.report.outcome.histogram(name) {
                let name = if several {
                    format!("{name}, {}", run.name)
                } else {
                    name.clone()
                };
                rows.push(
                    table::latency(&name, histogram)
                        .iter()
                        .map(|cell| quantity_or_word(cell))
                        .collect(),
                );
            }
        }
    }
    grid(1, &table::LATENCY_COLUMNS, &rows)
}

/// What each process used in each phase.
pub(super) fn processes(shown: &[Shown<'_>]) -> String {
    let mut text = String::new();
    for run in shown {
        let rows = run.report.outcome.processes.iter().flat_map(table::phases);
        let rows: Vec<_> = rows
            .map(|row| row.iter().map(|cell| quantity_or_word(cell)).collect())
            .collect();
        if shown.len() > 1 && !rows.is_empty() {
            let _ = writeln!(text, "<h3>{}{}</h3>", key(run), Escaped(run.name));
        }
        text += &grid(2, &table::PHASE_COLUMNS, &rows);
    }
    text
}

/// What the workers and the gateways counted.
pub(super) fn counters(shown: &[Shown<'_>]) -> String {
    let mut text = String::new();
    for run in shown {
        let recording = &run.report.outcome.recording;
        let row = |(name, value): (&String, &u64)| {
            let when = if recording.totals.contains(name) {
                "in the whole run"
            } else {
                "while measuring"
            };
            vec![Escaped(name).to_string(), when.to_owned(), words::count(*value)]
        };
        let rows: Vec<_> = recording.counters.iter().map(row).collect();
        if shown.len() > 1 && !rows.is_empty() {
            let _ = writeln!(text, "<h3>{}{}</h3>", key(run), Escaped(run.name));
        }
        text += &grid(2, &["by the load generator", "when", "count"], &rows);
        text += &by_gateways(run.report);
    }
    text
}

/// By how much the gateways' own counters grew while measuring.
fn by_gateways(report: &Report) -> String {
    let at = |phase: Phase| {
        report
            .outcome
            .counted
            .iter()
            .find(|(mark, _)| mark == phase.name())
    };
    let (Some((_, before)), Some((_, after))) = (at(Phase::Measure), at(Phase::Settle)) else {
        return String::new();
    };
    let growth = after
        .growth_since(before)
        .filter(|(sample, _)| !sample.contains("_bucket{"));
    let rows: Vec<_> = growth
        .map(|(sample, by)| {
            vec![
                format!("<code>{}</code>", Escaped(sample)),
                quantity(&words::number(by)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = grid(1, &["by the gateways, while measuring", "grew by"], &rows);
    format!(
        "<details><summary>{} counters of the gateways</summary>\n{table}</details>\n",
        rows.len()
    )
}

/// Commands and options.
pub(super) fn how(shown: &[Shown<'_>]) -> String {
    let mut text = String::new();
    let mut told: Vec<&str> = Vec::new();
    for run in shown {
        if told.contains(&run.name) {
            continue;
        }
        told.push(run.name);
        if shown.len() > 1 {
            let _ = writeln!(text, "<h3>{}{}</h3>", key(run), Escaped(run.name));
        }
        let command = words::command_line(&run.report.command);
        let options = words::options(run.report).into_iter();
        let rows: Vec<_> = options
            .map(|(name, value)| vec![Escaped(&name).to_string(), Escaped(&value).to_string()])
            .collect();
        let _ = write!(
            text,
            "<pre><code>{}</code></pre>\n<details><summary>All options</summary>\n{}</details>\n",
            Escaped(&command),
            grid(2, &["option", "value"], &rows),
        );
    }
    text
}

/// A run's colour.
fn key(run: &Shown<'_>) -> String {
    format!("<span class=\"key c{}\"></span>", run.colour % 8)
}

/// Numbers are not broken from their units; words are left as they are.
fn quantity_or_word(cell: &str) -> String {
    if cell.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        quantity(cell)
    } else {
        Escaped(cell).to_string()
    }
}

/// Bytes, from a whole number of them.
pub(super) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is shown")]
    let bytes = bytes as f64;
    quantity(&words::bytes(bytes))
}
