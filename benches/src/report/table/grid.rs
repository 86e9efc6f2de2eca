//! Columns that line up.

use std::fmt::Write as _;

/// Rows under a header; the first columns are words and stand at the left, the others at the right.
pub(super) struct Grid<const N: usize> {
    words: usize,
    header: [String; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Grid<N> {
    pub(super) fn new(words: usize, header: [&str; N]) -> Self {
        Self {
            words,
            header: header.map(str::to_owned),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The lines; none without rows.
    pub(super) fn text(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths: [usize; N] = std::array::from_fn(|column| {
            let rows = self.rows.iter().chain([&self.header]);
            rows.map(|row| row[column].chars().count())
                .max()
                .unwrap_or_default()
        });
        let rule = widths.map(|width| "-".repeat(width));
        let mut text = String::new();
        for row in [&self.header, &rule].into_iter().chain(&self.rows) {
            self.line(&mut text, row, &widths);
        }
        text
    }

    fn line(&self, text: &mut String, row: &[String; N], widths: &[usize; N]) {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            // Writing to a text cannot fail.
            let _ = if column < self.words {
                write!(text, "{gap}{cell:<width$}")
            } else {
                write!(text, "{gap}{cell:>width$}")
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
}
