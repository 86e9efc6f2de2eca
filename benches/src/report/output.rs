//! Where results go.

mod sink;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Document, html, json, table};
use crate::Failure;
use sink::Sink;

/// Where results go, beside the table on standard output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Write everything to this file, as JSON; `-`: to standard output, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Where results go, opened: what cannot be written to shows before anything is measured.
#[derive(Debug)]
pub struct Outlet {
    /// Whether JSON goes to standard output.
    only_json: bool,
    json: Option<Sink>,
    html: Option<Sink>,
}

impl Output {
    /// Opens the files. Those that are not written to in the end are left as they were.
    ///
    /// # Errors
    ///
    /// When one of them cannot be written.
    pub fn open(&self) -> Result<Outlet, Failure> {
        let only_json = self.json.as_deref() == Some(Path::new("-"));
        let open = |file: &PathBuf| Sink::open(file);
        Ok(Outlet {
            only_json,
            json: self.json.as_ref().filter(|_| !only_json).map(open).transpose()?,
            html: self.html.as_ref().map(open).transpose()?,
        })
    }

    /// Tells again what was stored in files.
    ///
    /// # Errors
    ///
    /// When a file has no report, or the result cannot be written.
    pub fn tell_again(&self, files: &[PathBuf]) -> Result<(), Failure> {
        if self.json.is_some() {
            return Err(Failure::usage(
                "these reports are in JSON already: --html makes a page of them",
            ));
        }
        let documents = files
            .iter()
            .map(|file| read(file))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(file) = &self.html {
            return Sink::open(file)?.write(&html::page(&documents));
        }
        let tables = documents.iter().map(|(_, document)| table::text(document));
        print(&tables.collect::<Vec<_>>().join("\n"))
    }
}

impl Outlet {
    /// Tells what was measured: first to whoever waits at the terminal, then to the files, each of which is written even if
    /// another could not be.
    ///
    /// # Errors
    ///
    /// The first one, when standard output or a file cannot be written.
    pub fn tell(self, document: Document) -> Result<(), Failure> {
        let json = self.json.is_some() || self.only_json;
        let json = if json {
            json::text(&document)
        } else {
            String::new()
        };
        let printed = if self.only_json {
            print(&json)
        } else {
            print(&table::text(&document))
        };
        let stored = self.json.map_or(Ok(()), |sink| sink.write(&json));
        let page = |sink: Sink| sink.write(&html::page(&[(String::from("this run"), document)]));
        let shown = self.html.map_or(Ok(()), page);
        printed.and(stored).and(shown)
    }
}

/// A stored report, and the file's name to call it by.
fn read(file: &Path) -> Result<(String, Document), Failure> {
    let text =
        fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let document = json::parse(&text).map_err(|failure| failure.during(&file.display().to_string()))?;
    let name = file.file_stem().map_or_else(
        || file.display().to_string(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    Ok((name, document))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::super::example::report;
    use super::*;

    fn output(folder: &Path, json: &str) -> Output {
        Output {
            json: Some(folder.join(json)),
            html: Some(folder.join("page.html")),
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_shows_before_anything_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["missing/report.json", "."] {
            let failure = output(folder.path(), name).open().unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{failure}");
        }
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "a run that does not begin leaves no files");
    }

    #[test]
    fn a_run_that_fails_leaves_files_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = folder.path().join("report.json");
        fs::write(&earlier, "earlier").unwrap();
        drop(output(folder.path(), "report.json").open().unwrap());
        assert_eq!(fs::read_to_string(earlier).unwrap(), "earlier");
        assert!(!folder.path().join("page.html").exists());
    }

    #[test]
    fn what_was_measured_takes_the_place_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        fs::write(&file, "x".repeat(1 << 20)).unwrap();
        let document = Document::Run(Box::new(report(1.0)));
        let outlet = output(folder.path(), "report.json").open().unwrap();
        outlet.tell(document.clone()).unwrap();
        assert_eq!(
            json::parse(&fs::read_to_string(file).unwrap()).unwrap().held(),
            document.held()
        );
        assert!(folder.path().join("page.html").exists());
    }
}
