//! One page with plots, which needs no other file.

use super::Report;

/// The report as a page.
#[must_use]
pub fn page(report: &Report) -> String {
    let json = super::json::text(report).replace('<', "&lt;");
    format!("<!doctype html><meta charset=utf-8><title>campanile-bench</title><pre>{json}</pre>\n")
}
