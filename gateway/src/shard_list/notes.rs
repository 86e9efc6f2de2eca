//! What operators should know about the list of shards although everything is served.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What a note is about. There is one note about each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The file has errors or cannot be read.
    File,
    /// The file has changes that this process does not take over.
    Restart,
    /// The DNS has no usable answer.
    Dns,
    /// The list could not be proposed.
    Proposal,
}

/// The present notes, shared by those who write and those who show them.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<BTreeMap<Subject, String>>>);

impl Notes {
    /// Notes `text` about `subject`; true: that is news.
    pub fn set(&self, subject: Subject, text: impl Into<String>) -> bool {
        let text = text.into();
        let mut notes = self.0.lock();
        if notes.get(&subject) == Some(&text) {
            return false;
        }
        notes.insert(subject, text);
        true
    }

    /// There is nothing to note about `subject`; true: there was.
    pub fn clear(&self, subject: Subject) -> bool {
        self.0.lock().remove(&subject).is_some()
    }

    /// The texts.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_news() {
        let notes = Notes::default();
        assert!(notes.set(Subject::Dns, "no answer"));
        assert!(!notes.set(Subject::Dns, "no answer"));
        assert!(notes.set(Subject::File, "no list"));
        assert_eq!(notes.texts(), ["no list", "no answer"]);
        assert!(notes.clear(Subject::Dns));
        assert!(!notes.clear(Subject::Dns));
        assert_eq!(notes.texts(), ["no list"]);
    }
}
