//! A table for terminals.

use std::fmt::Write as _;

use super::Report;

/// The report as text, with a line break at its end.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for figure in &report.figures {
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "{:<48} {:>16.3} {:?}",
            figure.name, figure.value, figure.unit
        );
    }
    for violation in &report.outcome.recording.violations {
        let _ = writeln!(text, "{}: {}", violation.kind.broken(), violation.detail);
    }
    text
}
