//! The transitions: from one document to the next, without I/O.

use std::collections::BTreeMap;

use super::moving::{Move, opening};
use super::{
    DeploymentId, Generation, Incarnation, OpeningContent, PartitionState, ShardEntry, ShardId, ShardState,
    Topology,
};
use crate::partition::Partition;

/// What marks the next document: its generation and a random number, which together no other document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Above the present document's; it jumps where a shard holds a record of a later one.
    pub generation: Generation,
    /// Random, by whoever proposes the change.
    pub id: u64,
}

/// Why a transition is not possible from the present document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The generation would not grow.
    #[error("generation {proposed} does not come after {present}")]
    NotNewer {
        /// The present document's.
        present: Generation,
        /// The change's.
        proposed: Generation,
    },
    /// The decision carries a generation that this document cannot give it.
    #[error("a decision of generation {0} does not fit between the last one and this change")]
    DecidedElsewhere(Generation),
    /// There is no such shard.
    #[error("shard {0} is not in the topology")]
    UnknownShard(ShardId),
    /// Another shard owns the partition.
    #[error("partition {0} belongs to another shard")]
    NotOwned(Partition),
    /// A move of the partition must be decided about first.
    #[error("partition {0} is moving")]
    Moving(Partition),
    /// The move is not in the plan.
    #[error("partition {0} is not planned to move")]
    NotPlanned(Partition),
    /// It has to be opened, or moved, first.
    #[error("partition {0} is not stable")]
    NotStable(Partition),
    /// There is no such move, or it is not being abandoned.
    #[error("partition {0} is not moving, or not on its way back")]
    NotMoving(Partition),
    /// The move cannot go on.
    #[error("the target of partition {0} is gone")]
    TargetGone(Partition),
    /// Nothing can be moved there or taken from there.
    #[error("shard {0} cannot be used")]
    NotUsable(ShardId),
    /// No shard could own the partitions.
    #[error("no shard in use would be left")]
    NobodyLeft,
    /// The shard has partitions, or is to get some, or is not about to leave.
    #[error("shard {0} is in use")]
    InUse(ShardId),
    /// The placement does not hold exactly one shard of the list for each partition.
    #[error("the placement does not fit the shards")]
    Placement,
}

impl Topology {
    /// The first document: all shards as they are configured, none of them reached yet, every partition to be opened
    /// where `placement` (by index) says.
    ///
    /// # Errors
    ///
    /// [`TransitionError::Placement`].
    pub fn bootstrap(
        change: Change,
        shards: BTreeMap<ShardId, ShardEntry>,
        placement: Vec<(ShardId, OpeningContent)>,
    ) -> Result<Self, TransitionError> {
        let opening = |(shard, content)| PartitionState::Opening {
            shard,
            generation: change.generation,
            content,
        };
        let topology = Self::new(change, shards, placement.into_iter().map(opening).collect());
        topology.validate().map_err(|_| TransitionError::Placement)?;
        Ok(topology)
    }

    /// Trusts `incarnation` of `shard`, all of whose partitions have been closed there at `sealed`, and opens them
    /// again: with what is there, or, where a fresh opening was never finished, afresh. A shard that was lost is in use
    /// again. What was moving away goes to its target; what was moving there is given up.
    ///
    /// `sealed` may be older than the change's generation (other shards may have been decided about meanwhile), but
    /// not than what this document says of the shard.
    ///
    /// # Errors
    ///
    /// If the shard is unknown, or was decided about at or after `sealed`.
    pub fn admit(
        &self,
        change: Change,
        shard: &ShardId,
        incarnation: Incarnation,
        sealed: Generation,
    ) -> Result<Self, TransitionError> {
        let resting = |state: &PartitionState| !matches!(state, PartitionState::Moving { .. });
        let owned = self.owned_by(shard).filter(|(_, state)| resting(state));
        let owned: Vec<Partition> = owned.map(|(partition, _)| partition).collect();
        let mut next = self.reopen(change, shard, &owned, sealed)?;
        let entry = next.shards.get_mut(shard);
        let entry = entry.ok_or_else(|| TransitionError::UnknownShard(shard.clone()))?;
        if sealed <= entry.admitted {
            return Err(TransitionError::DecidedElsewhere(sealed));
        }
        entry.incarnation = Some(incarnation);
        entry.admitted = sealed;
        if entry.state == ShardState::Lost {
            entry.state = ShardState::Active;
        }
        for (partition, _) in self.states() {
            if let Some(moved) = self.moved(partition) {
                next.interrupt(change, partition, moved, (shard, sealed));
            }
        }
        // What was left there has been closed anew.
        for ((at, _), through) in &mut next.cleaning {
            if at == shard {
                *through = change.generation;
            }
        }
        next.settle_plan();
        Ok(next)
    }

    /// What becomes of a move when another run of `shard` is admitted, where all has been closed at `sealed`.
    fn interrupt(
        &mut self,
        change: Change,
        partition: Partition,
        moved: Move,
        (shard, sealed): (&ShardId, Generation),
    ) {
        let index = partition.index();
        if moved.to == *shard
            && let PartitionState::Moving { aborting, .. } = &mut self.partitions[index]
        {
            aborting.get_or_insert(change.generation);
        }
        if moved.from != *shard {
            return;
        }
        if self.target_gone(partition) {
            self.partitions[index] = opening(moved.from, sealed, OpeningContent::Keep);
            self.list_cleaning(moved.to, partition);
        } else {
            let content = OpeningContent::FreshUnlessOpen(moved.generation);
            self.partitions[index] = opening(moved.to, change.generation, content);
            self.list_cleaning(moved.from, partition);
        }
    }

    /// Opens again some partitions of `shard` that have been closed there at `sealed`.
    ///
    /// # Errors
    ///
    /// If one of them is not the shard's, is moving, or was decided about at or after `sealed`.
    pub fn reopen(
        &self,
        change: Change,
        shard: &ShardId,
        partitions: &[Partition],
        sealed: Generation,
    ) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        if sealed > change.generation {
            return Err(TransitionError::DecidedElsewhere(sealed));
        }
        for partition in partitions {
            let state = &mut next.partitions[partition.index()];
            let content = reopened_content(*partition, state, shard, sealed)?;
            *state = PartitionState::Opening {
                shard: shard.clone(),
                generation: sealed,
                content,
            };
        }
        Ok(next)
    }

    /// Notes which openings on `shard` have been carried out, each named by its partition and its generation; what
    /// has been decided about a partition since stays.
    ///
    /// # Errors
    ///
    /// If the generation would not grow.
    pub fn opened(
        &self,
        change: Change,
        shard: &ShardId,
        carried_out: &[(Partition, Generation)],
    ) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        for (partition, generation) in carried_out {
            let state = &mut next.partitions[partition.index()];
            if matches!(state, PartitionState::Opening { shard: at, generation: of, .. }
                if at == shard && of == generation)
            {
                *state = PartitionState::Stable(shard.clone());
            }
        }
        Ok(next)
    }

    /// The same content above a generation that has been seen already: for a store that forgot, so that no reader
    /// ever goes back.
    ///
    /// # Errors
    ///
    /// If the generation would not grow.
    pub fn raised(&self, change: Change) -> Result<Self, TransitionError> {
        self.next(change)
    }

    /// A copy that carries `change`'s marks.
    pub(super) fn next(&self, change: Change) -> Result<Self, TransitionError> {
        if change.generation <= self.generation {
            return Err(TransitionError::NotNewer {
                present: self.generation,
                proposed: change.generation,
            });
        }
        let mut next = self.clone();
        next.generation = change.generation;
        next.change_id = change.id;
        if next.deployment == DeploymentId::default() {
            next.deployment = DeploymentId(change.id);
        }
        Ok(next)
    }
}

/// With what content `partition` may be opened again on `shard`.
fn reopened_content(
    partition: Partition,
    state: &PartitionState,
    shard: &ShardId,
    sealed: Generation,
) -> Result<OpeningContent, TransitionError> {
    if state.owner() != shard {
        return Err(TransitionError::NotOwned(partition));
    }
    match state {
        PartitionState::Stable(_) => Ok(OpeningContent::Keep),
        PartitionState::Opening { generation, .. } if *generation >= sealed => {
            Err(TransitionError::DecidedElsewhere(sealed))
        }
        PartitionState::Opening { content, .. } => Ok(match content {
            // The seal has raised the floor.
            OpeningContent::Keep | OpeningContent::Reclaim => OpeningContent::Keep,
            // Whether it was open, the seal has covered up.
            OpeningContent::Fresh | OpeningContent::FreshUnlessOpen(_) => OpeningContent::Fresh,
        }),
        PartitionState::Moving { .. } => Err(TransitionError::Moving(partition)),
    }
}
