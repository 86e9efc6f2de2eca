//! What must be so in every topology document.

use super::{Generation, PartitionState, ShardId, ShardState, Topology};
use crate::partition::Partition;

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Each partition has exactly one state.
    #[error("{0} partitions instead of {count}", count = Partition::COUNT)]
    PartitionCount(usize),
    /// A partition is given to a shard that is not listed.
    #[error("partition {0} is given to {1}, which is not listed")]
    UnknownShard(Partition, ShardId),
    /// A partition moves from a shard to the same.
    #[error("partition {0} moves to where it is")]
    MovesNowhere(Partition),
    /// A partition's state was decided after this document.
    #[error("partition {0} was decided at generation {1}, later than the document")]
    DecidedLater(Partition, Generation),
    /// A partition belongs to a shard that is lost.
    #[error("partition {0} belongs to {1}, which is lost")]
    LostOwner(Partition, ShardId),
    /// A shard was admitted after this document.
    #[error("shard {0} was admitted at generation {1}, later than the document")]
    AdmittedLater(ShardId, Generation),
    /// A partition is planned to move to a shard that is not listed, or to where it is, or while it moves already.
    #[error("partition {0} cannot move to {1}")]
    Planned(Partition, ShardId),
    /// What is to be cleaned is on a shard that is not listed, or that has the partition.
    #[error("partition {0} cannot be cleaned on {1}")]
    Cleaning(Partition, ShardId),
    /// Generation 0 means that there is no topology yet.
    #[error("a document has no generation 0")]
    GenerationZero,
}

impl Topology {
    /// Checks what must hold in every document, whoever wrote it.
    ///
    /// # Errors
    ///
    /// The first thing found wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.generation == Generation::default() {
            return Err(Invalid::GenerationZero);
        }
        if self.partitions.len() != usize::from(Partition::COUNT) {
            return Err(Invalid::PartitionCount(self.partitions.len()));
        }
        for (id, entry) in &self.shards {
            if entry.admitted > self.generation {
                return Err(Invalid::AdmittedLater(id.clone(), entry.admitted));
            }
        }
        self.states()
            .try_for_each(|(partition, state)| self.validate_partition(partition, state))?;
        self.validate_plan()?;
        self.validate_cleaning()
    }

    fn validate_plan(&self) -> Result<(), Invalid> {
        let cannot = |(partition, shard): &(&Partition, &ShardId)| {
            let state = self.partition(**partition);
            let moving = matches!(state, PartitionState::Moving { .. });
            moving || state.owner() == *shard || !self.shards.contains_key(*shard)
        };
        match self.plan.iter().find(cannot) {
            Some((partition, shard)) => Err(Invalid::Planned(*partition, shard.clone())),
            None => Ok(()),
        }
    }

    fn validate_cleaning(&self) -> Result<(), Invalid> {
        for ((shard, partition), through) in &self.cleaning {
            let state = self.partition(*partition);
            let has_it = state.owner() == shard || state.destination() == shard;
            if has_it || !self.shards.contains_key(shard) {
                return Err(Invalid::Cleaning(*partition, shard.clone()));
            }
            if *through > self.generation {
                return Err(Invalid::DecidedLater(*partition, *through));
            }
        }
        Ok(())
    }

    fn validate_partition(&self, partition: Partition, state: &PartitionState) -> Result<(), Invalid> {
        let known = |shard: &ShardId| match self.shards.contains_key(shard) {
            true => Ok(()),
            false => Err(Invalid::UnknownShard(partition, shard.clone())),
        };
        let decided = |generation: Generation| match generation <= self.generation {
            true => Ok(()),
            false => Err(Invalid::DecidedLater(partition, generation)),
        };
        known(state.owner())?;
        if self.shards[state.owner()].state == ShardState::Lost {
            return Err(Invalid::LostOwner(partition, state.owner().clone()));
        }
        match state {
            PartitionState::Stable(_) => Ok(()),
            PartitionState::Opening { generation, .. } => decided(*generation),
            PartitionState::Moving { from, to, .. } if from == to => Err(Invalid::MovesNowhere(partition)),
            PartitionState::Moving {
                to,
                generation,
                aborting,
                ..
            } => {
                known(to)?;
                decided(*generation)?;
                aborting.map_or(Ok(()), decided)
            }
        }
    }
}
