//! A file that will be written.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A file that is open and will be written. What was in it stays until then; one that was not there before and is not
/// written is removed again.
#[derive(Debug)]
pub(super) struct Sink {
    path: PathBuf,
    file: File,
    /// Whether it was made for this, and nothing has been written yet.
    empty: bool,
}

impl Sink {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let was_there = path.exists();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let wrong = |error| Failure::usage(format!("{}: {error}", path.display()));
        Ok(Self {
            file: file.map_err(wrong)?,
            path: path.to_owned(),
            empty: !was_there,
        })
    }

    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        self.empty = false;
        let written = self.replace(text);
        written.map_err(|error| Failure::run(format!("{}: {error}", self.path.display())))
    }

    fn replace(&mut self, text: &str) -> std::io::Result<()> {
        // A pipe or a terminal has nothing to be cut off.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.empty {
            // Somebody else may have removed it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
