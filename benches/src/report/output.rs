//! Where results go.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Document, html, json, table};
use crate::Failure;

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

impl Output {
    /// Tells what was measured.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or standard output.
    pub fn tell(&self, document: Document) -> Result<(), Failure> {
        if self.json.as_deref() == Some(Path::new("-")) {
            print(&json::text(&document))?;
        } else {
            if let Some(file) = &self.json {
                write(file, &json::text(&document))?;
            }
            print(&table::text(&document))?;
        }
        self.page(&[(String::from("this run"), document)])
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
        if self.html.is_none() {
            let tables: Vec<_> = documents
                .iter()
                .map(|(_, document)| table::text(document))
                .collect();
            return print(&tables.join("\n"));
        }
        self.page(&documents)
    }

    fn page(&self, documents: &[(String, Document)]) -> Result<(), Failure> {
        let Some(file) = &self.html else {
            return Ok(());
        };
        write(file, &html::page(documents))
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

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::run(format!("{}: {error}", file.display())))
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::from)
}
