//! One page with plots, which needs no other file: no script, no font, no picture from elsewhere.
//!
//! - [`chart`]: lines over two axes as SVG, [`scale`]: where the axes' ticks are.
//! - [`charts`]: which charts there are, from the reports; [`tables`]: which tables.
//! - [`text`]: nothing from a report gets onto the page but through it.
//!
//! A page shows one run, or several side by side, each in its colour; the runs of a comparison have the colour of their side.

mod chart;
mod charts;
mod scale;
mod tables;
mod text;

use std::fmt::Write as _;

use super::{Document, Report, words};
use crate::compare::Comparison;
use text::Escaped;

const STYLE: &str = include_str!("html/style.css");

/// A run on a page.
#[derive(Clone, Copy)]
struct Shown<'a> {
    /// What it is called; runs of the same name are shown as one kind.
    name: &'a str,
    /// The number of its colour.
    colour: usize,
    report: &'a Report,
}

/// The page of some documents, each with a name that tells it from the others.
#[must_use]
pub fn page(documents: &[(String, Document)]) -> String {
    let shown = shown(documents);
    let title = title(&shown);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        title = Escaped(&title),
    );
    page += &header(&title, &shown);
    page += &tables::verdict(&shown);
    for (_, document) in documents {
        if let Document::Comparison(comparison) = document {
            page += &comparison_section(comparison);
        }
    }
    page += &tables::figures(&shown);
    page += &section(
        "Latency",
        &(charts::latencies(&shown) + &tables::latencies(&shown)),
    );
    page += &section("Over time", &charts::over_time(&shown));
    page += &section("Processes", &tables::processes(&shown));
    page += &section("Counted", &tables::counters(&shown));
    page += &section("How to repeat it", &tables::how(&shown));
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Every run of the documents, in their order.
fn shown(documents: &[(String, Document)]) -> Vec<Shown<'_>> {
    let mut shown = Vec::new();
    let mut colour = 0;
    for (name, document) in documents {
        match document {
            Document::Run(report) => {
                shown.push(Shown { name, colour, report });
                colour += 1;
            }
            Document::Comparison(comparison) => {
                for round in &comparison.rounds {
                    for (side, report) in round.iter().enumerate() {
                        let name = &comparison.names[side];
                        shown.push(Shown {
                            name,
                            colour: colour + side,
                            report,
                        });
                    }
                }
                colour += 2;
            }
        }
    }
    shown
}

fn title(shown: &[Shown<'_>]) -> String {
    let mut scenarios: Vec<_> = shown
        .iter()
        .map(|run| run.report.outcome.plan.scenario.as_str())
        .collect();
    scenarios.dedup();
    format!("campanile-bench {}", scenarios.join(", "))
}

fn header(title: &str, shown: &[Shown<'_>]) -> String {
    let mut text = format!("<header>\n<h1>{}</h1>\n", Escaped(title));
    if let Some(first) = shown.first() {
        let outcome = &first.report.outcome;
        let machine = &outcome.machine;
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "<p class=\"lead\">{}: {}</p>\n<p class=\"muted\">{} cores of {}, {}, {}; campanile-bench {}; <time>{}</time></p>",
            Escaped(&first.report.about),
            Escaped(&words::plan(&outcome.plan)),
            machine.cores,
            Escaped(if machine.processor.is_empty() {
                "an unnamed processor"
            } else {
                &machine.processor
            }),
            tables::bytes(machine.memory_bytes),
            Escaped(&machine.kernel),
            Escaped(&first.report.program),
            words::date(first.report.made),
        );
    }
    text + "</header>\n"
}

fn comparison_section(comparison: &Comparison) -> String {
    let [first, second] = &comparison.names;
    let lead = format!(
        "<p><span class=\"key c0\"></span><b>A</b> {} <span class=\"key c1\"></span><b>B</b> {}; \
         {} rounds, A B A B. Each ratio is of two runs that followed each other.</p>\n",
        Escaped(first),
        Escaped(second),
        comparison.rounds.len(),
    );
    section("A compared with B", &(lead + &tables::ratios(comparison)))
}

/// Nothing if there is nothing in it.
fn section(title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{title}</h2>\n{content}</section>\n")
}
