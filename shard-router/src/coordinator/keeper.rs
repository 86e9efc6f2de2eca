//! The loop around one shard: look, decide, act, write down.
//!
//! Shards that are being emptied are kept like others. One that was evicted is looked at over a way of its own, until it
//! answers: then everything there is closed and deleted before it is admitted again. One that does not answer for long
//! enough, while most gateways miss it too and another shard is there, is evicted.

use std::collections::BTreeSet;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::check::{self, Unfit};
use super::decision::{self, Action, Seal, Sighting};
use super::ledger::{CommitError, Content, Page};
use super::outage::{self, Outage};
use super::sights::Sight;
use super::term::Term;
use super::work::{self, Site, WorkError};
use crate::fence::OwnerRecord;
use crate::partition::Partition;
use crate::shard::{Probe, Shard};
use crate::store::StoreError;
use crate::topology::{Generation, Incarnation, ShardEntry, ShardId, ShardState, Topology};

mod metrics;

use self::metrics::KeeperMetrics;

/// How often a shard is looked at: how soon a restarted one is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same for a shard that was evicted: each look makes a connection of its own.
const LOOK_AT_LOST_EVERY: Duration = Duration::from_secs(5);

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
    /// Since when it does not answer.
    outage: Option<Outage>,
    /// Told when another server has taken over.
    takeovers: Option<watch::Receiver<u64>>,
    /// How much longer than others it may be silent, because something else may replace its server.
    takeover_delay: Duration,
    metrics: KeeperMetrics,
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
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// When to look again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Now,
    Later,
    MuchLater,
}

impl Keeper {
    pub(super) fn new(term: Arc<Term>, id: ShardId) -> Self {
        let pages = term.ledger.pages();
        let metrics = KeeperMetrics::register(&id);
        Self {
            term,
            id,
            pages,
            audited: None,
            closed: BTreeSet::new(),
            as_of: 0,
            outage: None,
            takeovers: None,
            takeover_delay: Duration::ZERO,
            metrics,
        }
    }

    /// Looks after the shard until aborted.
    pub(super) async fn run(mut self) {
        loop {
            let (next, foreign) = self.take_turn().await;
            match next {
                Next::Now => {}
                Next::Later => self.rest(foreign, LOOK_EVERY).await,
                Next::MuchLater => self.rest(foreign, LOOK_AT_LOST_EVERY).await,
            }
        }
    }

    /// One look. Nobody announces moves from or to the shard meanwhile.
    async fn take_turn(&mut self) -> (Next, u64) {
        let term = Arc::clone(&self.term);
        let _turn = term.sights.turn(&self.id).await;
        let page = self.pages.borrow_and_update().clone();
        let next = match &page.content {
            Content::Topology(topology) => self.attend(&page, &Arc::clone(topology)).await,
            Content::Unread | Content::Empty => Next::Later,
        };
        (next, page.foreign)
    }

    /// Waits until it is time, until somebody else has changed the topology, until another server has taken over, or until
    /// something is to be opened at once.
    async fn rest(&mut self, foreign: u64, time: Duration) {
        let mut urgent = self.term.urgent.subscribe();
        tokio::select! {
            () = sleep(time) => {}
            // The senders live as long as the term, and with it this task.
            _ = self.pages.wait_for(|page| page.foreign != foreign) => {}
            _ = urgent.changed() => {}
            () = changed(self.takeovers.as_mut()) => {}
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
        let lost = entry.state == ShardState::Lost;
        let shard = match lost {
            // Gateways have no connection to it, nor may this one.
            true => self.term.shards.open_apart(&self.id, &entry.url),
            false => self.term.shards.shard(&self.id, &entry.url),
        };
        let shard = shard.map_err(Trouble::NoWay)?;
        self.takeover_delay = shard.takeover_delay();
        self.takeovers = Some(shard.takeovers());
        let probe = match self.probe(&*shard).await {
            Ok(probe) => probe,
            Err(_) if lost => return Ok(Next::MuchLater),
            Err(error) => {
                self.miss(page, topology).await?;
                return Err(error.into());
            }
        };
        if let Err(unfit) = check::may_return(topology, &self.id, &probe) {
            if !lost {
                // Its own server is not to be reached under its name.
                self.miss(page, topology).await?;
            }
            return Err(unfit.into());
        }
        self.note(entry, &probe);
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

    /// Asks the shard who it is, and counts how long it keeps silent.
    async fn probe(&mut self, shard: &dyn Shard) -> Result<Probe, WorkError> {
        let mut probe = pin!(work::probe(shard));
        loop {
            tokio::select! {
                answer = &mut probe => return answer,
                () = sleep(LOOK_EVERY) => {
                    if let Some(outage) = &mut self.outage {
                        outage.tick(Instant::now().into_std());
                    }
                }
            }
        }
    }

    /// Notes what is seen of a shard that answers.
    fn note(&mut self, entry: &ShardEntry, probe: &Probe) {
        self.outage = None;
        let known = entry.incarnation.as_ref() == Some(&probe.incarnation);
        let before = self.term.sights.of(&self.id);
        // A server that keeps nothing on disk has forgotten the wish with the rest.
        let had_asked = probe.drain_asked || before.drain_asked;
        let sight = Sight {
            reachable: true,
            trusted: known && probe.admitted == Some(entry.admitted),
            // What was asked of a former run is over.
            drain_asked: probe.drain_asked && known,
            returned: entry.state == ShardState::Draining && (before.returned || (had_asked && !known)),
        };
        self.term.sights.note(&self.id, sight);
    }

    /// Notes that the shard does not answer, and evicts it if it has not for long enough.
    async fn miss(&mut self, page: &Page, topology: &Topology) -> Result<(), Trouble> {
        let now = Instant::now().into_std();
        self.outage.get_or_insert_with(|| Outage::begin(now)).tick(now);
        let before = self.term.sights.of(&self.id);
        let sight = Sight {
            reachable: false,
            trusted: false,
            ..before
        };
        self.term.sights.note(&self.id, sight);
        if self.is_given_up(topology).await? {
            self.evict(page, topology.owned_by(&self.id).count()).await?;
        }
        Ok(())
    }

    /// Whether the shard has been missed for long enough, and it is not this gateway that is cut off.
    async fn is_given_up(&self, topology: &Topology) -> Result<bool, StoreError> {
        let lasted = self.outage.map_or(Duration::ZERO, |outage| outage.lasted());
        let evict_after = self.term.options.evict_after;
        if evict_after.is_none_or(|after| lasted < after + self.takeover_delay) {
            return Ok(false);
        }
        let in_use = topology.shards.iter();
        let in_use = in_use.filter(|(_, entry)| entry.state == ShardState::Active);
        if !self
            .term
            .sights
            .reaches_another(&self.id, in_use.map(|(id, _)| id))
        {
            return Ok(false);
        }
        Ok(outage::most_miss(&self.term.store.gateways().await?, &self.id))
    }

    /// Gives the shard up, which owns `partitions` of them.
    async fn evict(&mut self, page: &Page, partitions: usize) -> Result<(), CommitError> {
        let id = &self.id;
        let commit = self
            .term
            .ledger
            .commit(page, page.least, |topology, change| topology.evict(change, id));
        let generation = commit.await?.generation;
        self.outage = None;
        if partitions > 0 {
            self.metrics.evictions.increment(1);
            error!(shard = %id, %generation, partitions, "a shard is lost: its partitions are opened elsewhere");
        } else {
            // It was to be stopped, or had yet to come.
            warn!(shard = %id, %generation, "a shard that owns no partitions does not answer and is given up");
        }
        self.term.hurry();
        Ok(())
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
        if let Some(beyond) = decision::beyond(topology, &records) {
            // What seemed closed is looked for again, by the topology as it is then.
            self.audited = None;
            let raise = self.term.ledger.commit(page, beyond, Topology::raised);
            raise.await?;
            return Ok(Next::Now);
        }
        let seal = Seal::plan(
            (topology, &self.id),
            action,
            &records,
            page.least,
            self.term.token,
        );
        let sealed = seal.generation;
        site.seal(seal.commands).await?;
        self.clear_out(topology, site, (&records, sealed)).await?;
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

    /// What a shard has to be rid of before it is admitted: everything, if it was lost, for nothing there counts any
    /// more; what an older copy of its data has brought back of partitions that have left; the wish to be drained, if it
    /// is another run that comes.
    async fn clear_out(
        &self,
        topology: &Topology,
        site: Site<'_>,
        (records, sealed): (&[(Partition, OwnerRecord)], Generation),
    ) -> Result<(), WorkError> {
        let Some(entry) = topology.shards.get(&self.id) else {
            return Ok(());
        };
        if entry.incarnation.as_ref() != Some(site.run) {
            let left = decision::left_over(topology, &self.id, records);
            let left = left.into_iter().map(|partition| (partition, sealed));
            site.clean(left.collect()).await?;
            work::in_time(site.shard.note_drained(site.run, false)).await?;
        }
        Ok(())
    }

    fn tell(&self, action: &Action, run: &Incarnation, written: &Topology) {
        let (shard, generation) = (&self.id, written.generation);
        match action {
            Action::Admit { keep_epochs } => {
                info!(%shard, %run, %generation, keep_epochs, "admitted a shard");
                self.metrics.admissions.increment(1);
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

/// Waits for the next change, for ever if there can be none.
async fn changed(count: Option<&mut watch::Receiver<u64>>) {
    if let Some(count) = count
        && count.changed().await.is_ok()
    {
        return;
    }
    pending::<()>().await;
}
