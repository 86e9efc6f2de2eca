//! JSON for programs, and for making a page later.
//!
//! A file is one object: `format` is `campanile-bench`, `version` is [`VERSION`], `kind` is `run` or `comparison`, and the rest
//! is the [`Report`](super::Report) or the [`Comparison`](crate::compare::Comparison), field by field. Within a version fields are
//! only added. Durations are in nanoseconds where the name says `ns`, points in time are nanoseconds since the Unix epoch,
//! CPU time is in seconds and memory in bytes. A histogram has all its buckets, so percentiles that nobody asked for yet can be
//! read from it, and histograms of several files can be added up.

use serde::{Deserialize, Serialize};

use super::Document;
use crate::Failure;

/// Of the form. A change of what a field means, or of where it is, makes another.
pub const VERSION: u32 = 1;

const FORMAT: &str = "campanile-bench";

/// What a file says of itself.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    document: &'a Document,
}

/// The document as JSON, with a line break at its end.
#[must_use]
pub fn text(document: &Document) -> String {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
    };
    let file = File { header, document };
    let mut text = serde_json::to_string(&file).expect("a document is names and finite numbers");
    text.push('\n');
    text
}

/// The document in a text of JSON.
///
/// # Errors
///
/// When the text is none that this program has written, or another version of it has.
pub fn parse(text: &str) -> Result<Document, Failure> {
    let header: Header =
        serde_json::from_str(text).map_err(|error| Failure::usage(format!("not a report: {error}")))?;
    if header.format != FORMAT {
        return Err(Failure::usage(format!("not a report, but {:?}", header.format)));
    }
    if header.version != VERSION {
        return Err(Failure::usage(format!(
            "a report of version {}; this program reads version {VERSION}",
            header.version
        )));
    }
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("a damaged report: {error}")))
}
