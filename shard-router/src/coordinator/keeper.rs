//! The loop around one shard: look, decide, act, write down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Unit, counter, describe_counter};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::decision::{self, Action, Seal, Sighting};
use super::ledger::{CommitError, Content, Page};
use super::term::Term;
use super::work::{self, Site, WorkError};
use crate::partition::Partition;
use crate::topology::{Incarnation, ShardId, Topology};

/// How often a shard is looked at: how soon a restarted one is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often all owner records of a shard are compared with the topology.
const AUDIT_EVERY: Duration = Duration::from_secs(30);

/// Looks after one shard for one term.
pub(super) struct Keeper {
    term: Arc<Term>,
    id: ShardId,
    pages: watch::Receiver<Page>,
    audited: Option<Instant>,
    /// What was found closed, and as of which count of foreign changes.
    closed: BTreeSet<Partition>,
    as_of: u64,
    admissions: Counter,
}

/// Why a look at a shard came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    NoWay(String),
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// When to look again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Now,
    Later,
}

impl Keeper {
    pub(super) fn new(term: Arc<Term>, id: ShardId) -> Self {
        let pages = term.ledger.pages();
        let admissions = admissions(&id);
        Self {
            term,
            id,
            pages,
            audited: None,
            closed: BTreeSet::new(),
            as_of: 0,
            admissions,
        }
    }

    /// Looks after the shard until aborted.
    pub(super) async fn run(mut self) {
        loop {
            let page = self.pages.borrow_and_update().clone();
            let next = match &page.content {
                Content::Topology(topology) => self.attend(&page, &Arc::clone(topology)).await,
                Content::Unread | Content::Empty => Next::Later,
            };
            if next == Next::Later {
                self.rest(page.foreign).await;
            }
        }
    }

    /// Waits until it is time, or until somebody else has changed the topology.
    async fn rest(&mut self, foreign: u64) {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            // The sender lives as long as the term, and with it this task.
            _ = self.pages.wait_for(|page| page.foreign != foreign) => {}
        }
    }

    async fn attend(&mut self, page: &Page, topology: &Topology) -> Next {
        match self.look(page, topology).await {
            Ok(next) => {
                self.report(None);
                next
            }
            // Not the shard's trouble: the new page is there already.
            Err(Trouble::Commit(CommitError::Lost)) => Next::Now,
            Err(trouble) => {
                self.report(Some(&trouble));
                Next::Later
            }
        }
    }

    /// Looks at the shard and does the one thing that it needs first.
    async fn look(&mut self, page: &Page, topology: &Topology) -> Result<Next, Trouble> {
        let Some(entry) = topology.shards.get(&self.id) else {
            return Ok(Next::Later);
        };
        let shard = self.term.shards.shard(&self.id, &entry.url);
        let shard = shard.map_err(Trouble::NoWay)?;
        let probe = work::probe(&*shard).await?;
        let run = probe.incarnation.clone();
        if std::mem::replace(&mut self.as_of, page.foreign) != page.foreign {
            self.closed.clear();
        }
        let site = Site {
            shard: &*shard,
            run: &run,
            token: self.term.token,
        };
        if entry.incarnation.as_ref() == Some(&run) {
            self.audit(site, topology).await?;
        }
        let sighting = Sighting {
            probe,
            closed: std::mem::take(&mut self.closed),
        };
        match decision::decide(topology, &self.id, &sighting) {
            None => Ok(Next::Later),
            Some(Action::Open) => self.open(page, topology, site).await,
            Some(action) => self.seal(page, topology, site, &action).await,
        }
    }

    /// Compares the records with the topology if it is time to.
    async fn audit(&mut self, site: Site<'_>, topology: &Topology) -> Result<(), WorkError> {
        if self.audited.is_some_and(|last| last.elapsed() < AUDIT_EVERY) {
            return Ok(());
        }
        let records = site.records().await?;
        self.audited = Some(Instant::now());
        let closed = decision::found_closed(topology, &self.id, &records);
        if !closed.is_empty() {
            warn!(shard = %self.id, partitions = closed.len(), "partitions are closed that should be open");
        }
        self.closed.extend(closed);
        Ok(())
    }

    /// Closes what `action` is about, and writes down that it will be opened.
    async fn seal(
        &mut self,
        page: &Page,
        topology: &Topology,
        site: Site<'_>,
        action: &Action,
    ) -> Result<Next, Trouble> {
        let records = site.records().await?;
        let seal = Seal::plan(
            (topology, &self.id),
            action,
            &records,
            page.least,
            self.term.token,
        );
        let sealed = seal.generation;
        site.seal(seal.commands).await?;
        let id = &self.id;
        let run = site.run;
        let commit = self
            .term
            .ledger
            .commit(page, sealed, |topology, change| match action {
                Action::Admit { .. } => topology.admit(change, id, run.clone(), sealed),
                Action::Reopen { partitions } => topology.reopen(change, id, partitions, sealed),
                Action::Open => topology.opened(change, id, &[]),
            });
        // If that fails, what has just been closed is in nobody's list any more: it has to be found again, and soon.
        let audited = self.audited.take();
        let written = commit.await?;
        self.audited = audited;
        self.tell(action, run, &written);
        Ok(Next::Now)
    }

    fn tell(&self, action: &Action, run: &Incarnation, written: &Topology) {
        let (shard, generation) = (&self.id, written.generation);
        match action {
            Action::Admit { keep_epochs } => {
                info!(%shard, %run, %generation, keep_epochs, "admitted a shard");
                self.admissions.increment(1);
            }
            Action::Reopen { partitions } => {
                info!(%shard, partitions = partitions.len(), %generation, "reopening partitions");
            }
            Action::Open => {}
        }
    }

    /// Carries out what is decided, and writes down what has been.
    async fn open(&mut self, page: &Page, topology: &Topology, site: Site<'_>) -> Result<Next, Trouble> {
        let opened = site.open(topology, &self.id).await?;
        if !opened.refused.is_empty() {
            warn!(shard = %self.id, partitions = opened.refused.len(), "the shard does not open what it held");
        }
        self.closed.extend(&opened.refused);
        if opened.open.is_empty() {
            return Ok(Next::Later);
        }
        let id = &self.id;
        let commit = self.term.ledger.commit(page, page.least, |topology, change| {
            topology.opened(change, id, &opened.open)
        });
        let generation = commit.await?.generation;
        info!(shard = %id, partitions = opened.open.len(), %generation, "opened partitions");
        // Later, so that a shard that forgets its admission at once is not admitted again and again without a pause.
        Ok(Next::Later)
    }

    /// Puts trouble, or its end, on the board; logs what is new.
    fn report(&self, trouble: Option<&Trouble>) {
        let trouble = trouble.map(ToString::to_string);
        self.term.board.send_if_modified(|status| {
            let known = status.troubles.get(&self.id);
            if known == trouble.as_ref() {
                return false;
            }
            match trouble {
                Some(trouble) => {
                    warn!(shard = %self.id, trouble, "a shard cannot be looked after");
                    status.troubles.insert(self.id.clone(), trouble);
                }
                None => {
                    info!(shard = %self.id, "a shard can be looked after again");
                    status.troubles.remove(&self.id);
                }
            }
            true
        });
    }
}

fn admissions(shard: &ShardId) -> Counter {
    const NAME: &str = "campanile_shard_admissions_total";
    describe_counter!(
        NAME,
        Unit::Count,
        "Incarnations of a shard, or data found exchanged under one, that this gateway's coordinator admitted"
    );
    counter!(NAME, "shard" => shard.to_string())
}
