//! What a new version of the configuration replaces while it is in use.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// A value that is replaced whole; clones share it. Whoever has looked it up goes on with what was found.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// Begins with `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// What counts at this moment, for a look at it. What is kept for longer, or across an await, is taken by [`get`](Self::get).
    #[must_use]
    pub fn look(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// What counts at this moment.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// `value` counts from now on.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_value_counts_for_all_who_share_it_and_nobody_loses_the_old_one_while_looking() {
        let live = Live::new("old");
        let (other, before) = (live.clone(), live.get());
        live.replace("new");
        assert_eq!((**other.look(), *before), ("new", "old"));
    }
}
