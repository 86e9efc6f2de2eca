//! How far a run is: bars in a terminal, lines elsewhere.

use std::io::Write as _;

/// Shows how far a run is. All of it goes to standard error.
#[derive(Debug, Default)]
pub struct Progress {
    silent: bool,
}

impl Progress {
    /// One that says nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self { silent: true }
    }

    /// A phase or a mark was reached.
    pub fn reached(&mut self, mark: &str) {
        self.line(mark);
    }

    /// A worker says how far it is.
    pub fn advance(&mut self, worker: usize, done: u64, of: u64, what: &str) {
        let _ = (worker, done, of, what);
    }

    /// Something that the user should know.
    pub fn note(&mut self, line: &str) {
        self.line(line);
    }

    /// All is over: nothing more is shown.
    pub fn finish(&mut self) {
        self.silent = true;
    }

    fn line(&self, line: &str) {
        if !self.silent {
            // Who has closed standard error does not want to know.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}
