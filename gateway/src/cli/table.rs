//! Columns under headings, for people.

/// At which side of its column a cell stands.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Left,
    Right,
}

/// Columns under headings.
pub(super) struct Table<'a, const N: usize> {
    columns: &'a [(&'static str, Side); N],
    rows: Vec<[String; N]>,
}

impl<'a, const N: usize> Table<'a, N> {
    pub(super) fn new(columns: &'a [(&'static str, Side); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    pub(super) fn text(&self) -> String {
        let headings = self.columns.each_ref().map(|(heading, _)| (*heading).to_owned());
        let lines: Vec<&[String; N]> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            let widths = lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or(0)
        });
        let mut text = String::new();
        for line in lines {
            let cells = line.iter().zip(self.columns).zip(widths);
            let cells: Vec<String> = cells
                .map(|((cell, (_, side)), width)| match side {
                    Side::Left => format!("{cell:<width$}"),
                    Side::Right => format!("{cell:>width$}"),
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}
