//! From what clients found wrong to broken promises.

use std::fmt::Display;

use crate::Violation;
use crate::check::Findings;
use crate::run::Run;

/// Reports what somebody found wrong.
pub(super) fn report(run: &Run, whose: impl Display, found: &Findings) {
    let example = found.example.as_deref().unwrap_or_default();
    for (promise, count) in found.broken() {
        let words = promise.broken();
        let detail = format!("{whose}: {count} {words} ({example})");
        run.violation(Violation::new(promise, detail));
    }
}
