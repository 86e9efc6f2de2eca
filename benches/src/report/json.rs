//! JSON for programs.

use super::Report;

/// The report as JSON, with a line break at its end.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report is names and numbers");
    text.push('\n');
    text
}
