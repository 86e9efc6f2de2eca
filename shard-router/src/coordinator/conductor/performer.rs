//! Does what an attempt asks, at the store and the shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::super::ledger::{CommitError, Content, Page};
use super::super::term::Term;
use super::super::work;
use super::metrics::MoveMetrics;
use crate::fence::{FenceCommand, FenceReply};
use crate::mover::{Answer, Ask, Decision};
use crate::partition::Partition;
use crate::shard::Shard;
use crate::topology::{Change, Generation, Incarnation, PartitionState, ShardId, Topology, TransitionError};

/// Does one attempt's asks.
pub(super) struct Performer<'a> {
    term: &'a Term,
    /// What the attempt knows of the topology: what its decisions are made on.
    page: Page,
    metrics: MoveMetrics,
    /// When the seal of each partition was sent, until it is open at its target.
    sealed: BTreeMap<Partition, Instant>,
    /// How many partitions it has brought to their targets.
    pub(super) moved: usize,
    /// Why it has abandoned moves, if it has.
    pub(super) abandoned: Option<String>,
}

impl<'a> Performer<'a> {
    pub(super) fn new(term: &'a Term, page: Page, metrics: MoveMetrics) -> Self {
        Self {
            term,
            page,
            metrics,
            sealed: BTreeMap::new(),
            moved: 0,
            abandoned: None,
        }
    }

    /// The attempt is about to be told what is on `page`.
    pub(super) fn turn_to(&mut self, page: Page) {
        self.page = page;
    }

    /// What the attempt is to be told.
    pub(super) fn topology(&self) -> Option<Arc<Topology>> {
        match &self.page.content {
            Content::Topology(topology) => Some(Arc::clone(topology)),
            Content::Unread | Content::Empty => None,
        }
    }

    pub(super) async fn perform(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Pause(pause) => {
                sleep(pause).await;
                Answer::Rested
            }
            Ask::Token => match self.term.store.next_token().await {
                Ok(token) => Answer::Token(token),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Ask::Gateways => match self.term.store.gateways().await {
                Ok(gateways) => Answer::Gateways(gateways),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Ask::Commit(decision) => self.decide(&decision).await,
            at_shard => {
                let answered = self.at_shard(at_shard).await;
                answered.unwrap_or_else(Answer::Failed)
            }
        }
    }

    async fn at_shard(&mut self, ask: Ask) -> Result<Answer, String> {
        let done = match ask {
            Ask::Fence { shard, commands } => return self.fence(&shard, commands).await,
            Ask::Wipe {
                shard,
                partitions,
                generation,
                token,
            } => {
                let (way, run) = self.way(&shard)?;
                let wiped = way.wipe(&run, partitions, generation, token);
                let wiped = work::within(work::WIPE_DEADLINE, wiped).await;
                wiped.map(|()| Answer::Wiped)
            }
            Ask::Restore {
                shard,
                generation,
                token,
                parts,
            } => {
                let (way, run) = self.way(&shard)?;
                let written = work::in_time(way.restore(&run, generation, token, parts)).await;
                written.map(Answer::Restored)
            }
            reading => return self.read(reading).await,
        };
        done.map_err(|error| error.to_string())
    }

    async fn read(&self, ask: Ask) -> Result<Answer, String> {
        let found = match ask {
            Ask::Records { shard, partitions } => {
                let (way, run) = self.way(&shard)?;
                let records = work::in_time(way.records(&run, partitions)).await;
                records.map(Answer::Records)
            }
            Ask::Scan {
                shard,
                partitions,
                scope,
                cursor,
            } => {
                let (way, run) = self.way(&shard)?;
                let step = work::in_time(way.scan(&run, partitions, scope, cursor)).await;
                step.map(|(items, next)| Answer::Scanned(items, next))
            }
            Ask::Dirty {
                shard,
                generation,
                since,
                scope,
            } => {
                let (way, run) = self.way(&shard)?;
                let pages = work::in_time(way.dirty(&run, generation, since, scope)).await;
                pages.map(Answer::Dirty)
            }
            Ask::Copy {
                shard,
                generation,
                items,
            } => {
                let (way, run) = self.way(&shard)?;
                let parts = work::in_time(way.copy(&run, generation, items)).await;
                parts.map(Answer::Copied)
            }
            other => return Err(format!("not for a shard: {other:?}")),
        };
        found.map_err(|error| error.to_string())
    }

    async fn fence(
        &mut self,
        shard: &ShardId,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> Result<Answer, String> {
        let (way, run) = self.way(shard)?;
        for (partition, command) in &commands {
            if matches!(command, FenceCommand::Seal { .. }) {
                // A seal that is sent again has not become shorter.
                self.sealed.entry(*partition).or_insert_with(Instant::now);
            }
        }
        let replies = work::in_time(way.fence(&run, commands.clone())).await;
        let replies = replies.map_err(|error| error.to_string())?;
        for ((partition, command), reply) in commands.iter().zip(&replies) {
            if matches!(command, FenceCommand::Open { .. })
                && *reply == FenceReply::Done
                && let Some(sent) = self.sealed.remove(partition)
            {
                self.metrics.pause.record(sent.elapsed().as_secs_f64());
            }
        }
        Ok(Answer::Fenced(replies))
    }

    /// The way to a shard of the topology, and its trusted run.
    fn way(&self, id: &ShardId) -> Result<(Arc<dyn Shard>, Incarnation), String> {
        let topology = self.topology().ok_or("the topology is not known")?;
        let entry = topology.shards.get(id).ok_or("it is not in the topology")?;
        let run = entry.incarnation.clone().ok_or("no run of it is trusted")?;
        Ok((self.term.shards.shard(id, &entry.url)?, run))
    }

    async fn decide(&mut self, decision: &Decision) -> Answer {
        let commit = self
            .term
            .ledger
            .commit(&self.page, self.page.least, |topology, change| {
                transition(topology, change, decision)
            });
        match commit.await {
            Ok(written) => {
                self.tell(decision, &written);
                Answer::Decided
            }
            // The new page is there already.
            Err(CommitError::Lost) if self.is_known() => Answer::Decided,
            Err(CommitError::Transition(error)) => Answer::Refused(error.to_string()),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    fn is_known(&self) -> bool {
        matches!(self.term.ledger.pages().borrow().content, Content::Topology(_))
    }

    fn tell(&mut self, decision: &Decision, written: &Topology) {
        let generation = written.generation;
        match decision {
            Decision::Commit(partitions) => {
                self.moved += partitions.len();
                self.metrics.moved(partitions.len());
            }
            Decision::Abort(partitions, why) => {
                warn!(%generation, partitions = partitions.len(), %why, "abandoning a move");
                self.metrics.abandoned(partitions.len(), why);
                self.abandoned = Some(why.to_string());
            }
            Decision::Aborted(partitions) => {
                info!(%generation, partitions = partitions.len(), "abandoned a move");
            }
            Decision::Resume(partitions) => {
                info!(%generation, partitions = partitions.len(), "a move cannot be abandoned any more");
            }
            Decision::Reclaim(partitions) => {
                warn!(%generation, partitions = partitions.len(), "partitions go back to their source");
                self.term.hurry();
            }
        }
    }
}

fn transition(topology: &Topology, change: Change, decision: &Decision) -> Result<Topology, TransitionError> {
    match decision {
        Decision::Commit(partitions) => topology.commit(change, &moving(topology, partitions)),
        Decision::Abort(partitions, _) => topology.abort(change, partitions),
        Decision::Aborted(partitions) => topology.aborted(change, partitions),
        Decision::Resume(partitions) => topology.resume(change, partitions),
        Decision::Reclaim(partitions) => topology.reclaim(change, partitions),
    }
}

/// Each with the generation that announced its move.
fn moving(topology: &Topology, partitions: &[Partition]) -> Vec<(Partition, Generation)> {
    let announced = |partition: &Partition| match topology.partition(*partition) {
        PartitionState::Moving { generation, .. } => Some((*partition, *generation)),
        PartitionState::Stable(_) | PartitionState::Opening { .. } => None,
    };
    partitions.iter().filter_map(announced).collect()
}
