//! The topology as this coordinator knows it, and the one place where it writes.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::store::{StoreError, TopologyStore};
use crate::topology::{Change, Generation, Invalid, Topology, TransitionError};

/// What is known of the stored topology.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) content: Content,
    /// How often the topology was found changed by somebody else. A decision is written only while this is what it was
    /// when the decision was made: what others have changed is looked at again first.
    pub(super) foreign: u64,
    /// Above every generation seen.
    pub(super) least: Generation,
}

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub(super) enum Content {
    /// Not read yet, or perhaps changed by a write whose answer was lost.
    #[default]
    Unread,
    /// Nothing.
    Empty,
    /// This document.
    Topology(Arc<Topology>),
}

/// Why a decision was not written. It is made again.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    /// The topology is not what the decision was made on.
    #[error("another coordinator has changed the topology")]
    Lost,
    /// The present topology does not allow it.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// It would make a document that no gateway could read. Nothing was written.
    #[error("the decision contradicts itself")]
    Invalid(#[from] Invalid),
    /// It may or may not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads and writes the topology. Shared by the keepers, whose writes take turns.
pub(super) struct Ledger {
    store: Arc<dyn TopologyStore>,
    page: watch::Sender<Page>,
    turn: Mutex<()>,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn TopologyStore>) -> Self {
        let page = Page {
            least: Generation(1),
            ..Page::default()
        };
        Self {
            store,
            page: watch::Sender::new(page),
            turn: Mutex::default(),
        }
    }

    /// The present page, as it changes.
    pub(super) fn pages(&self) -> watch::Receiver<Page> {
        self.page.subscribe()
    }

    /// Reads the store.
    pub(super) async fn refresh(&self) -> Result<Page, StoreError> {
        let _turn = self.turn.lock().await;
        self.read().await
    }

    /// Writes the first topology into an empty store.
    pub(super) async fn found(&self, topology: Topology) -> Result<(), CommitError> {
        let _turn = self.turn.lock().await;
        self.write(None, topology).await.map(drop)
    }

    /// Writes what `transition` makes of the present topology, if nobody else has changed it since `decided_on`. The
    /// change's generation is at least `least`.
    pub(super) async fn commit(
        &self,
        decided_on: &Page,
        least: Generation,
        transition: impl FnOnce(&Topology, Change) -> Result<Topology, TransitionError>,
    ) -> Result<Arc<Topology>, CommitError> {
        let _turn = self.turn.lock().await;
        let page = self.page.borrow().clone();
        let Content::Topology(present) = page.content else {
            return Err(CommitError::Lost);
        };
        if page.foreign != decided_on.foreign {
            return Err(CommitError::Lost);
        }
        let change = Change {
            generation: page.least.max(least),
            id: rand::random(),
        };
        let next = transition(&present, change)?;
        self.write(Some(&present), next).await
    }

    async fn write(&self, expected: Option<&Topology>, next: Topology) -> Result<Arc<Topology>, CommitError> {
        next.validate()?;
        match self.store.compare_and_set(expected, &next).await {
            Ok(true) => {
                let next = Arc::new(next);
                self.page
                    .send_modify(|page| page.turn_to(Content::Topology(Arc::clone(&next))));
                Ok(next)
            }
            Ok(false) => {
                self.forget();
                self.read().await?;
                Err(CommitError::Lost)
            }
            Err(error) => {
                self.forget();
                Err(error.into())
            }
        }
    }

    async fn read(&self) -> Result<Page, StoreError> {
        let stored = self.store.read().await?;
        self.page.send_if_modified(|page| {
            let unchanged = match (&page.content, &stored) {
                (Content::Empty, None) => true,
                (Content::Topology(known), Some(stored)) => {
                    known.generation == stored.generation && known.change_id == stored.change_id
                }
                _ => false,
            };
            if !unchanged {
                page.foreign += 1;
                page.turn_to(stored.map_or(Content::Empty, |stored| Content::Topology(Arc::new(stored))));
            }
            !unchanged
        });
        Ok(self.page.borrow().clone())
    }

    /// What is stored is not known any more.
    fn forget(&self) {
        self.page.send_modify(|page| page.content = Content::Unread);
    }
}

impl Page {
    fn turn_to(&mut self, content: Content) {
        if let Content::Topology(topology) = &content {
            self.least = self.least.max(topology.generation.next());
        }
        self.content = content;
    }
}

#[cfg(test)]
mod tests;
