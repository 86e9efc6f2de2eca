//! The acts at a shard. Each is idempotent: done again, by this coordinator or the next, it changes nothing.

use std::time::Duration;

use tokio::time::timeout;

use crate::fence::{FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::shard::{Probe, Shard, ShardError, ShardFuture};
use crate::topology::{Generation, Incarnation, OpeningContent, PartitionState, ShardId, Token, Topology};

/// A shard keeps its own, shorter deadlines; this one holds should it fail to.
const DEADLINE: Duration = Duration::from_secs(10);

/// The same for a wipe, which walks over every key of the shard in steps that each have a deadline of their own.
pub(super) const WIPE_DEADLINE: Duration = Duration::from_secs(600);

/// How many fence commands go out at once: few enough that a batch is answered well within a command's time.
const BATCH: usize = 512;

/// Why an act at a shard was not carried out. It will be tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    /// The shard did not do it.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The shard kept silent beyond every deadline.
    #[error("no answer from the shard")]
    Silent,
    /// A record there is newer than the decision.
    #[error("partition {0} has been decided about by another coordinator")]
    Overtaken(Partition),
}

/// What became of openings.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Open now, with the generation of the opening.
    pub(super) open: Vec<(Partition, Generation)>,
    /// What is there is not what was to be opened.
    pub(super) refused: Vec<Partition>,
}

/// One run of a shard, and the coordinator's token for filling it.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) shard: &'a dyn Shard,
    pub(super) run: &'a Incarnation,
    pub(super) token: Token,
}

/// An opening that the topology has decided.
struct Opening {
    partition: Partition,
    generation: Generation,
    content: OpeningContent,
}

/// Which run answers.
pub(super) async fn probe(shard: &dyn Shard) -> Result<Probe, WorkError> {
    in_time(shard.probe()).await
}

impl Site<'_> {
    /// All owner records.
    pub(super) async fn records(&self) -> Result<Vec<(Partition, OwnerRecord)>, WorkError> {
        in_time(self.shard.owners(self.run)).await
    }

    /// Closes partitions; all of them, or it is an error.
    pub(super) async fn seal(&self, commands: Vec<(Partition, FenceCommand)>) -> Result<(), WorkError> {
        for (partition, reply) in self.fence(commands).await? {
            if let FenceReply::Refused(_) = reply {
                return Err(WorkError::Overtaken(partition));
            }
        }
        Ok(())
    }

    /// Notes the admission on the server, then opens what the topology says is to be opened on `id`.
    pub(super) async fn open(&self, topology: &Topology, id: &ShardId) -> Result<Opened, WorkError> {
        if let Some(entry) = topology.shards.get(id) {
            let note = self
                .shard
                .note_admitted(self.run, entry.admitted, topology.deployment);
            in_time(note).await?;
        }
        let (kept, fresh): (Vec<Opening>, Vec<Opening>) =
            openings(topology, id).partition(|opening| opening.keeps_content());
        let mut opened = Opened::default();
        let reopen = |opening: &Opening| match opening.content {
            OpeningContent::Reclaim => FenceCommand::Reclaim {
                generation: opening.generation,
            },
            _ => FenceCommand::Reopen {
                generation: opening.generation,
            },
        };
        for (opening, reply) in self.fence_each(kept, reopen).await? {
            opened.note(&opening, &reply);
        }
        self.open_fresh(fresh, &mut opened).await?;
        Ok(opened)
    }

    /// Takes partitions anew: closed and named as this coordinator's, wiped, opened.
    async fn open_fresh(&self, fresh: Vec<Opening>, opened: &mut Opened) -> Result<(), WorkError> {
        let token = self.token;
        let take = |opening: &Opening| FenceCommand::Fresh {
            generation: opening.generation,
            token,
            unless_open: opening.unless_open(),
        };
        let mut taken = Vec::new();
        for (opening, reply) in self.fence_each(fresh, take).await? {
            match reply {
                FenceReply::Done => taken.push(opening),
                FenceReply::Refused(Some(record)) if opening.is_open_as(&record) => {
                    opened.open.push((opening.partition, opening.generation));
                }
                // A later coordinator fills it: its business.
                FenceReply::Refused(Some(record)) if opening.is_taken_as(&record) => {}
                FenceReply::Refused(_) => opened.refused.push(opening.partition),
            }
        }
        self.wipe(&taken).await?;
        let open = |opening: &Opening| FenceCommand::Open {
            generation: opening.generation,
            token,
        };
        for (opening, reply) in self.fence_each(taken, open).await? {
            // Refused: a later coordinator has taken it over meanwhile.
            if reply == FenceReply::Done {
                opened.open.push((opening.partition, opening.generation));
            }
        }
        Ok(())
    }

    async fn wipe(&self, taken: &[Opening]) -> Result<(), WorkError> {
        for of_one_generation in taken.chunk_by(|a, b| a.generation == b.generation) {
            let partitions = of_one_generation
                .iter()
                .map(|opening| opening.partition)
                .collect();
            let generation = of_one_generation[0].generation;
            within(
                WIPE_DEADLINE,
                self.shard.wipe(self.run, partitions, generation, self.token),
            )
            .await?;
        }
        Ok(())
    }

    /// Sends the command for each opening.
    async fn fence_each(
        &self,
        openings: Vec<Opening>,
        command: impl Fn(&Opening) -> FenceCommand,
    ) -> Result<impl Iterator<Item = (Opening, FenceReply)>, WorkError> {
        let commands = openings
            .iter()
            .map(|opening| (opening.partition, command(opening)))
            .collect();
        let replies = self.fence(commands).await?;
        Ok(openings
            .into_iter()
            .zip(replies)
            .map(|(opening, (_, reply))| (opening, reply)))
    }

    /// Deletes what closed partitions hold.
    pub(super) async fn clean(&self, partitions: Vec<(Partition, Generation)>) -> Result<(), WorkError> {
        if partitions.is_empty() {
            return Ok(());
        }
        within(WIPE_DEADLINE, self.shard.clean(self.run, partitions)).await
    }

    /// Carries out commands, in order, answered one by one.
    pub(super) async fn fence(
        &self,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> Result<Vec<(Partition, FenceReply)>, WorkError> {
        let mut answered = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            let replies = in_time(self.shard.fence(self.run, batch.to_vec())).await?;
            if replies.len() != batch.len() {
                let words = format!("{} answers to {} commands", replies.len(), batch.len());
                return Err(ShardError::Malformed(words).into());
            }
            answered.extend(batch.iter().map(|(partition, _)| *partition).zip(replies));
        }
        Ok(answered)
    }
}

impl Opened {
    fn note(&mut self, opening: &Opening, reply: &FenceReply) {
        match reply {
            FenceReply::Done => self.open.push((opening.partition, opening.generation)),
            FenceReply::Refused(_) => self.refused.push(opening.partition),
        }
    }
}

impl Opening {
    /// Whether nothing is wiped.
    fn keeps_content(&self) -> bool {
        matches!(self.content, OpeningContent::Keep | OpeningContent::Reclaim)
    }

    /// The move that may have opened the partition here already.
    fn unless_open(&self) -> Option<Generation> {
        match self.content {
            OpeningContent::FreshUnlessOpen(generation) => Some(generation),
            OpeningContent::Keep | OpeningContent::Fresh | OpeningContent::Reclaim => None,
        }
    }

    fn is_open_as(&self, record: &OwnerRecord) -> bool {
        let generation = Some(record.generation);
        let wanted = generation == Some(self.generation) || generation == self.unless_open();
        wanted && record.state == OwnerState::Open
    }

    fn is_taken_as(&self, record: &OwnerRecord) -> bool {
        record.generation == self.generation && record.state == OwnerState::Importing
    }
}

/// What is to be opened on `id`, in order of generation.
fn openings(topology: &Topology, id: &ShardId) -> impl Iterator<Item = Opening> {
    let mut openings: Vec<Opening> = topology
        .owned_by(id)
        .filter_map(|(partition, state)| match state {
            PartitionState::Opening {
                generation, content, ..
            } => Some(Opening {
                partition,
                generation: *generation,
                content: *content,
            }),
            _ => None,
        })
        .collect();
    openings.sort_by_key(|opening| opening.generation);
    openings.into_iter()
}

pub(super) async fn in_time<T>(answer: ShardFuture<T>) -> Result<T, WorkError> {
    within(DEADLINE, answer).await
}

pub(super) async fn within<T>(deadline: Duration, answer: ShardFuture<T>) -> Result<T, WorkError> {
    match timeout(deadline, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(WorkError::Silent),
    }
}
