//! Carries the plan out: announces moves batch by batch and runs an attempt at each.
//!
//! It acts on the same partitions as the keepers and, at the same time, with another coordinator's. That is safe:
//!
//! * While a keeper looks at a shard and decides, no move from or to it is announced here ([`Sights::turn`](super::sights::Sights::turn)): what the
//!   keeper takes for closed has not just been closed by a move. Partitions that are moving are left alone by it,
//!   except when the shard runs anew; then the acts of the move name the former run and fail, and the admission
//!   decides what becomes of the move.
//! * Another coordinator's decision makes every decision void that was made before it (the ledger's count of foreign
//!   changes), and what it has done at a shard already is found in the owner records, which each act checks.
//! * Both write by turns, each from the present document, and the document's transitions refuse what no longer fits.
//!   So neither waits for the other, and neither undoes what the other has decided.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile_common::Timestamp;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::ledger::{CommitError, Content, Page};
use super::term::Term;
use super::{MoveProgress, tidy};
use crate::mover::{Ask, Attempt, AttemptOptions, Outcome};
use crate::partition::Partition;
use crate::topology::{Generation, ShardId, ShardState, Topology};

mod batch;
mod metrics;
mod performer;

use metrics::MoveMetrics;
use performer::Performer;

/// How soon what could not be done is tried again, and what nobody announces is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The first pause after an attempt that ended early or a move that was abandoned.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest such pause.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Carries out the plans of one term.
pub(super) struct Conductor {
    term: Arc<Term>,
    pages: watch::Receiver<Page>,
    metrics: MoveMetrics,
    rest: Rest,
    /// The plan under way, for the log: since when, and bytes copied for it.
    plan: Option<Plan>,
    /// Why the last attempt did not bring its partitions to their targets.
    trouble: Option<String>,
}

struct Plan {
    started: Timestamp,
    since: Instant,
    partitions: usize,
    bytes: u64,
}

/// What is announced next.
struct Batch {
    page: Page,
    /// The one on `page`.
    topology: Arc<Topology>,
    partitions: Vec<Partition>,
    /// As long as they are held, no keeper decides about the shards of `partitions`.
    _turns: Vec<OwnedMutexGuard<()>>,
}

/// Longer and longer pauses while nothing gets done.
struct Rest(Duration);

/// When to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Now,
    /// When something changes, or after a while.
    Later,
    /// Not before a pause.
    AfterRest,
}

/// Makes the metrics of moves known, also where nothing has been moved yet.
pub(super) fn register_metrics() {
    drop(MoveMetrics::register());
}

impl Conductor {
    pub(super) fn new(term: Arc<Term>) -> Self {
        let pages = term.ledger.pages();
        Self {
            term,
            pages,
            metrics: MoveMetrics::register(),
            rest: Rest(FIRST_REST),
            plan: None,
            trouble: None,
        }
    }

    /// Carries out plans until aborted.
    pub(super) async fn run(mut self) {
        loop {
            let page = self.pages.borrow_and_update().clone();
            let next = match &page.content {
                Content::Topology(topology) => self.advance(&page, &Arc::clone(topology)).await,
                Content::Unread | Content::Empty => Next::Later,
            };
            match next {
                Next::Now => {}
                Next::AfterRest => sleep(self.rest.next()).await,
                Next::Later => tokio::select! {
                    () = sleep(LOOK_EVERY) => {}
                    // The sender lives as long as the term, and with it this task.
                    _ = self.pages.changed() => {}
                },
            }
        }
    }

    /// Does the one thing that is next.
    async fn advance(&mut self, page: &Page, topology: &Arc<Topology>) -> Next {
        self.follow(topology);
        if !Attempt::due(topology).is_empty() {
            return self.attempt_each(topology).await;
        }
        if !topology.plan.is_empty() {
            return self.announce().await;
        }
        match tidy::tidy(&self.term, page, topology).await {
            Ok(true) => Next::Now,
            Ok(false) | Err(CommitError::Lost) => Next::Later,
            Err(error) => {
                debug!(%error, "the topology could not be tidied");
                Next::Later
            }
        }
    }

    /// Tells beginning and end of a plan.
    fn follow(&mut self, topology: &Topology) {
        let left = topology.left_to_move();
        self.metrics.left.set(left as f64);
        if left > 0 && self.plan.is_none() {
            info!(partitions = left, "partitions are to be moved");
            self.plan = Some(Plan {
                started: now(),
                since: Instant::now(),
                partitions: left,
                bytes: 0,
            });
        }
        if left == 0
            && let Some(plan) = self.plan.take()
        {
            let seconds = plan.since.elapsed().as_secs_f64();
            info!(
                partitions = plan.partitions,
                bytes = plan.bytes,
                seconds,
                "nothing is left to be moved"
            );
        }
        if left == 0 {
            self.show(None);
        }
    }

    fn show(&self, progress: Option<MoveProgress>) {
        self.term.board.send_if_modified(|status| {
            let news = status.moves != progress;
            status.moves = progress;
            news
        });
    }

    /// Announces the next moves of the plan.
    async fn announce(&mut self) -> Next {
        // Read again with the turns in hand: nobody decides about these shards meanwhile.
        let Some(batch) = self.next_batch() else {
            return Next::Later;
        };
        if batch.partitions.is_empty() {
            let trouble = batch::obstacle(&batch.topology, &self.term.sights);
            self.show_waiting(&batch.topology, trouble);
            return Next::Later;
        }
        let (page, history) = (&batch.page, self.term.options.history_on_move);
        let commit = self.term.ledger.commit(page, page.least, |topology, change| {
            topology.announce(change, &batch.partitions, history)
        });
        match commit.await {
            Ok(written) => {
                let (generation, partitions) = (written.generation, batch.partitions.len());
                info!(%generation, partitions, planned = written.plan.len(), "moving partitions");
                Next::Now
            }
            Err(CommitError::Lost) => Next::Now,
            Err(error) => {
                warn!(%error, "a move could not be announced");
                Next::AfterRest
            }
        }
    }

    /// `None`: a keeper is deciding about one of its shards.
    fn next_batch(&self) -> Option<Batch> {
        let shards: BTreeSet<ShardId> = match &self.pages.borrow().content {
            Content::Topology(topology) => {
                batch::shards_of(topology, &batch::next(topology, &self.term.sights, self.most()))
            }
            Content::Unread | Content::Empty => return None,
        };
        let turns = self.term.sights.try_turns(shards.iter())?;
        let page = self.pages.borrow().clone();
        let Content::Topology(topology) = &page.content else {
            return None;
        };
        let topology = Arc::clone(topology);
        let partitions = batch::next(&topology, &self.term.sights, self.most());
        batch::shards_of(&topology, &partitions)
            .is_subset(&shards)
            .then_some(Batch {
                page,
                topology,
                partitions,
                _turns: turns,
            })
    }

    fn most(&self) -> usize {
        self.term.options.max_moving.max(1)
    }

    /// One attempt at each announcement that is still moving.
    async fn attempt_each(&mut self, topology: &Arc<Topology>) -> Next {
        let mut next = Next::Now;
        for generation in Attempt::due(topology) {
            match self.attempt(generation).await {
                (Outcome::Finished, None) => {}
                (Outcome::Stopped { reason, again: true }, None) => {
                    debug!(%generation, reason, "a move is taken up again");
                }
                (Outcome::Stopped { reason, .. }, None) => {
                    warn!(%generation, reason, "a move does not get on");
                    self.trouble = Some(reason);
                    next = Next::AfterRest;
                }
                (_, Some(reason)) => {
                    self.trouble = Some(format!("a move was abandoned: {reason}"));
                    next = Next::AfterRest;
                }
            }
        }
        if next == Next::Now {
            self.trouble = None;
            self.rest = Rest(FIRST_REST);
        }
        if let Content::Topology(topology) = &self.pages.borrow().content {
            self.show_waiting(topology, None);
        }
        next
    }

    /// One attempt, and why it has abandoned moves, if it has.
    async fn attempt(&mut self, generation: Generation) -> (Outcome, Option<String>) {
        let page = self.pages.borrow().clone();
        let Content::Topology(topology) = &page.content else {
            let reason = "the topology is not known".to_owned();
            return (Outcome::Stopped { reason, again: false }, None);
        };
        let options = AttemptOptions {
            barrier_timeout: self.term.options.barrier_timeout,
            move_rate: self.term.options.move_rate.and_then(NonZeroU64::new),
        };
        let mut attempt = Attempt::new(Arc::clone(topology), generation, options);
        let mut performer = Performer::new(&self.term, page.clone(), self.metrics.clone());
        let begun = Instant::now();
        let (mut as_of, mut plan) = (topology.generation, self.progress(topology));
        let outcome = loop {
            let ask = attempt.next_ask();
            self.show_attempt(&attempt, &plan);
            if let Ask::Done(outcome) = ask {
                break outcome;
            }
            let answer = performer.perform(ask).await;
            performer.turn_to(self.pages.borrow().clone());
            if let Some(topology) = performer.topology() {
                if topology.generation != as_of {
                    (as_of, plan) = (topology.generation, self.progress(&topology));
                }
                attempt.observe(topology);
            }
            attempt.answer(begun.elapsed(), answer);
        };
        let bytes = attempt.progress().bytes;
        self.metrics.bytes.increment(bytes);
        if let Some(plan) = &mut self.plan {
            plan.bytes += bytes;
        }
        if outcome == Outcome::Finished {
            let seconds = begun.elapsed().as_secs_f64();
            info!(%generation, moved = performer.moved, bytes, seconds, "moved partitions");
        }
        (outcome, performer.abandoned)
    }

    /// Shows how far an attempt is, given how far the plan is.
    fn show_attempt(&self, attempt: &Attempt, plan: &MoveProgress) {
        let progress = attempt.progress();
        self.show(Some(MoveProgress {
            bytes: plan.bytes + progress.bytes,
            stage: progress.stage.to_string(),
            trouble: progress.trouble.or_else(|| self.trouble.clone()),
            ..plan.clone()
        }));
    }

    fn show_waiting(&self, topology: &Topology, trouble: Option<String>) {
        if topology.left_to_move() > 0 {
            self.show(Some(MoveProgress {
                trouble: trouble.or_else(|| self.trouble.clone()),
                ..self.progress(topology)
            }));
        }
    }

    fn progress(&self, topology: &Topology) -> MoveProgress {
        MoveProgress {
            planned: topology.planned.max(topology.left_to_move()),
            left: topology.left_to_move(),
            moving: topology.moving(),
            bytes: self.plan.as_ref().map_or(0, |plan| plan.bytes),
            started: self.plan.as_ref().map_or(Timestamp::ZERO, |plan| plan.started),
            stage: "announcing".to_owned(),
            trouble: None,
        }
    }
}

/// What is left is for the next coordinator to count.
impl Drop for Conductor {
    fn drop(&mut self) {
        self.metrics.left.set(0.0);
    }
}

impl Rest {
    /// The next pause.
    fn next(&mut self) -> Duration {
        let rest = self.0;
        self.0 = (rest * 2).min(LONGEST_REST);
        rest
    }
}

/// Whether partitions can move from or to `shard`.
fn is_usable(topology: &Topology, shard: &ShardId) -> bool {
    topology
        .shards
        .get(shard)
        .is_some_and(|entry| entry.state != ShardState::Lost && entry.incarnation.is_some())
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = now.unwrap_or_default().as_millis();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
