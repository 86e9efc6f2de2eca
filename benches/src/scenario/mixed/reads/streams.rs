//! Whether what is read of streams is what they must have.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;

use crate::run::Run;
use crate::{Failure, Promise, Violation};

/// How far streams had come when they were read last, by name.
#[derive(Debug, Default)]
pub(super) struct Streams(HashMap<String, Position>);

/// How far a stream has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    epoch: String,
    offset: u64,
}

/// The newest publications of a stream, the newest first.
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    publications: Vec<Offset>,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    epoch: String,
}

#[derive(Debug, Deserialize)]
struct Offset {
    offset: u64,
}

impl Streams {
    /// How far a stream has come, as far as is known.
    pub(super) fn position(&self, stream: &str) -> Position {
        self.0.get(stream).cloned().unwrap_or_default()
    }

    /// Compares a page of a stream with how far that had come when it was asked for, and reports what is wrong.
    pub(super) fn check(
        &mut self,
        run: &Run,
        stream: &str,
        since: &Position,
        answer: Result<Value, Failure>,
    ) {
        let page = match read(answer) {
            Ok(page) => page,
            Err(words) => return violation(run, Promise::Other, stream, &words),
        };
        if let Some(words) = page.hole().or_else(|| page.behind(since)) {
            violation(run, Promise::NothingLost, stream, &words);
        }
        let position = self.0.entry(stream.to_owned()).or_default();
        if page.epoch != position.epoch || page.offset > position.offset {
            *position = page.position();
        }
    }
}

/// Compares the last page of a stream with how many publications were accepted in it, and reports what is wrong.
pub(super) fn check_end(
    run: &Run,
    stream: &str,
    answer: Result<Value, Failure>,
    accepted: RangeInclusive<u64>,
) {
    run.total("streams_at_their_end", 1);
    let page = match read(answer) {
        Ok(page) => page,
        Err(words) => return violation(run, Promise::Other, stream, &words),
    };
    if let Some(words) = page.hole().or_else(|| page.unlike(&accepted)) {
        violation(run, Promise::NothingLost, stream, &words);
    }
}

impl Page {
    /// What is missing in the page itself: it begins at the stream's top, and one offset follows the other.
    fn hole(&self) -> Option<String> {
        let mut expected = self.offset;
        for Offset { offset } in &self.publications {
            if *offset != expected {
                return Some(format!("offset {offset} was read where {expected} was due"));
            }
            expected = expected.saturating_sub(1);
        }
        let empty = self.publications.is_empty() && self.offset > 0;
        empty.then(|| format!("nothing was read of {} publications", self.offset))
    }

    /// How it falls behind what was read before: another epoch, or a lower top.
    fn behind(&self, before: &Position) -> Option<String> {
        let Position { epoch, offset } = before;
        if !epoch.is_empty() && self.epoch != *epoch {
            return Some(format!("its epoch was {epoch} and is {}", self.epoch));
        }
        (self.offset < *offset).then(|| format!("its top was {offset} and is {}", self.offset))
    }

    /// How its top differs from the number of publications that were accepted.
    fn unlike(&self, accepted: &RangeInclusive<u64>) -> Option<String> {
        let (least, most) = accepted.clone().into_inner();
        let words = || format!("{least} to {most} were accepted, and its top is {}", self.offset);
        (!accepted.contains(&self.offset)).then(words)
    }

    fn position(&self) -> Position {
        Position {
            epoch: self.epoch.clone(),
            offset: self.offset,
        }
    }
}

fn read(answer: Result<Value, Failure>) -> Result<Page, String> {
    let page = answer.map_err(|failure| failure.to_string())?;
    serde_json::from_value(page).map_err(|error| format!("a page that is not understood: {error}"))
}

fn violation(run: &Run, kind: Promise, stream: &str, words: &str) {
    run.violation(Violation::new(kind, format!("history of {stream}: {words}")));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(top: u64, offsets: &[u64]) -> Page {
        let publications: Vec<_> = offsets.iter().map(|offset| json!({ "offset": offset })).collect();
        let page = json!({ "publications": publications, "offset": top, "epoch": "a" });
        read(Ok(page)).unwrap()
    }

    fn position(epoch: &str, offset: u64) -> Position {
        Position {
            epoch: epoch.to_owned(),
            offset,
        }
    }

    #[test]
    fn holes_in_a_page_are_seen() {
        assert_eq!(page(5, &[5, 4, 3]).hole(), None);
        assert_eq!(page(0, &[]).hole(), None);
        for (top, offsets) in [(5, &[5, 3][..]), (5, &[5, 5]), (5, &[4, 3])] {
            assert!(page(top, offsets).hole().is_some(), "{top} {offsets:?}");
        }
    }

    #[test]
    fn a_stream_whose_publications_are_gone_is_seen() {
        assert!(page(5, &[]).hole().is_some());
        assert_eq!(page(5, &[5]).behind(&position("", 0)), None);
        assert_eq!(page(5, &[5]).behind(&position("a", 5)), None);
        assert!(page(5, &[5]).behind(&position("a", 6)).is_some());
        assert!(page(5, &[5]).behind(&position("b", 1)).is_some());
        assert_eq!(page(5, &[5]).unlike(&(4..=5)), None);
        assert!(page(5, &[5]).unlike(&(6..=7)).is_some());
        assert!(page(0, &[]).unlike(&(1..=1)).is_some());
    }
}
