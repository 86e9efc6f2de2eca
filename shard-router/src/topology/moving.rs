//! The transitions of a move: announced from the plan, committed, or abandoned.

use super::{
    Change, Generation, MoveHistory, OpeningContent, PartitionState, ShardEntry, ShardId, ShardState,
    Topology, TransitionError,
};
use crate::partition::Partition;
use crate::ring;
use crate::safeguard::{Safeguard, holds};

/// A move under way, as a document has it.
pub(super) struct Move {
    pub(super) from: ShardId,
    pub(super) to: ShardId,
    pub(super) generation: Generation,
    pub(super) aborting: Option<Generation>,
    pub(super) history: MoveHistory,
}

impl Topology {
    /// Announces the planned moves of `partitions`: from now on each of them is named by this change's generation.
    ///
    /// # Errors
    ///
    /// If one of them is not planned or not stable, or a shard of it has no trusted run or is not to be used.
    pub fn announce(
        &self,
        change: Change,
        partitions: &[Partition],
        history: MoveHistory,
    ) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        for partition in partitions {
            let to = next.plan.remove(partition);
            let to = to.ok_or(TransitionError::NotPlanned(*partition))?;
            let PartitionState::Stable(from) = self.partition(*partition).clone() else {
                return Err(TransitionError::NotStable(*partition));
            };
            if !self.is_trusted(&from) {
                return Err(TransitionError::NotUsable(from));
            }
            if !self.is_active(&to) || !self.is_trusted(&to) {
                return Err(TransitionError::NotUsable(to));
            }
            // The import wipes what there was to clean.
            next.cleaning.remove(&(to.clone(), *partition));
            next.partitions[partition.index()] = PartitionState::Moving {
                from,
                to,
                generation: change.generation,
                aborting: None,
                history,
            };
        }
        Ok(next)
    }

    /// Decides to abandon moves. Nothing changes for gateways yet: the source may have been sealed already. One that is
    /// being abandoned stays as it was decided first.
    ///
    /// # Errors
    ///
    /// If one of `partitions` is not moving.
    pub fn abort(&self, change: Change, partitions: &[Partition]) -> Result<Self, TransitionError> {
        self.alter(change, partitions, |_, moved| {
            let aborting = moved.aborting.or(Some(change.generation));
            Ok(Move { aborting, ..moved }.state())
        })
    }

    /// It is too late to abandon these moves: their sources are sealed, so they go on.
    ///
    /// # Errors
    ///
    /// If one of `partitions` is not moving, or has no target any more to which it could go on.
    pub fn resume(&self, change: Change, partitions: &[Partition]) -> Result<Self, TransitionError> {
        self.alter(change, partitions, |partition, moved| {
            if self.target_gone(partition) {
                return Err(TransitionError::TargetGone(partition));
            }
            let aborting = None;
            Ok(Move { aborting, ..moved }.state())
        })
    }

    /// Notes that sources serve again as before these moves. What was copied is to be cleaned, and the move is planned
    /// again while its target is in use.
    ///
    /// # Errors
    ///
    /// If one of `partitions` is not being abandoned.
    pub fn aborted(&self, change: Change, partitions: &[Partition]) -> Result<Self, TransitionError> {
        let mut next = self.alter(change, partitions, |partition, moved| match moved.aborting {
            Some(_) => Ok(PartitionState::Stable(moved.from)),
            None => Err(TransitionError::NotMoving(partition)),
        })?;
        for partition in partitions {
            next.plan_again(self, *partition);
        }
        next.settle_plan();
        Ok(next)
    }

    /// Notes which moves are done, each named by its partition and its generation; what has been decided about a
    /// partition since stays, also that its move is abandoned: the target that opened it may be lost by now.
    ///
    /// # Errors
    ///
    /// If the generation would not grow.
    pub fn commit(&self, change: Change, done: &[(Partition, Generation)]) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        for (partition, generation) in done {
            let Some(moved) = self.moved(*partition) else {
                continue;
            };
            if moved.generation == *generation && moved.aborting.is_none() {
                next.partitions[partition.index()] = PartitionState::Stable(moved.to);
                next.list_cleaning(moved.from, *partition);
            }
        }
        next.settle_plan();
        Ok(next)
    }

    /// Gives partitions back to their sources, where they are closed, because they will never be open at their targets:
    /// those are gone, or have been closed for good. Content stays, but the target may have accepted more, so that no
    /// position from before is continuous.
    ///
    /// # Errors
    ///
    /// If one of `partitions` is not moving.
    pub fn reclaim(&self, change: Change, partitions: &[Partition]) -> Result<Self, TransitionError> {
        let mut next = self.alter(change, partitions, |_, moved| {
            let (shard, generation) = (moved.from, change.generation);
            Ok(opening(shard, generation, OpeningContent::Reclaim))
        })?;
        for partition in partitions {
            next.plan_again(self, *partition);
        }
        next.settle_plan();
        Ok(next)
    }

    /// Notes what has been cleaned on `shard`, each named by its partition and its generation.
    ///
    /// # Errors
    ///
    /// If the generation would not grow.
    pub fn cleaned(
        &self,
        change: Change,
        shard: &ShardId,
        done: &[(Partition, Generation)],
    ) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        for (partition, through) in done {
            let key = (shard.clone(), *partition);
            if next.cleaning.get(&key) == Some(through) {
                next.cleaning.remove(&key);
            }
        }
        Ok(next)
    }

    /// Whether the target of `partition`'s move has been evicted, or admitted anew, since the move was announced: what
    /// was copied there does not count any more, and what it may have accepted is unknown.
    #[must_use]
    pub fn target_gone(&self, partition: Partition) -> bool {
        let Some(moved) = self.moved(partition) else {
            return false;
        };
        let anew = |target: &ShardEntry| target.admitted > moved.generation;
        self.is_lost(&moved.to) || self.shards.get(&moved.to).is_some_and(anew)
    }

    /// The move of `partition`, if it is moving.
    pub(super) fn moved(&self, partition: Partition) -> Option<Move> {
        match self.partition(partition).clone() {
            PartitionState::Moving {
                from,
                to,
                generation,
                aborting,
                history,
            } => Some(Move {
                from,
                to,
                generation,
                aborting,
                history,
            }),
            PartitionState::Stable(_) | PartitionState::Opening { .. } => None,
        }
    }

    /// Lists what `partition` has left on `shard` as to be cleaned, all of it up to now. What is lost is cleaned when it
    /// comes back.
    pub(super) fn list_cleaning(&mut self, shard: ShardId, partition: Partition) {
        if holds(Safeguard::CleaningListed) && !self.is_lost(&shard) {
            self.cleaning.insert((shard, partition), self.generation);
        }
    }

    /// Has every partition planned to move that rests on a shard that is being emptied, and makes an end of a plan that
    /// is carried out.
    pub(super) fn settle_plan(&mut self) {
        let resting = |state: &PartitionState| !matches!(state, PartitionState::Moving { .. });
        let homeless: Vec<Partition> = self
            .states()
            .filter(|(_, state)| resting(state) && !self.is_active(state.owner()))
            .map(|(partition, _)| partition)
            .filter(|partition| !self.plan.contains_key(partition))
            .collect();
        if !homeless.is_empty()
            && let Some(homes) = self.homes()
        {
            for partition in homeless {
                self.plan.insert(partition, homes[partition.index()].clone());
            }
        }
        self.planned = match self.left_to_move() {
            0 => 0,
            left => self.planned.max(left),
        };
    }

    /// Where each partition is to be when everything is over; those of shards that are not in use get one that is.
    /// `None`: no shard is.
    pub(super) fn homes(&self) -> Option<Vec<ShardId>> {
        let active = self.shards.iter().filter(|(id, _)| self.is_active(id));
        let weights = active.map(|(id, entry)| (id.clone(), entry.weight)).collect();
        let wish = |(partition, state): (Partition, &PartitionState)| {
            let planned = self.plan.get(&partition).filter(|to| self.is_active(to));
            Some(planned.unwrap_or(state.destination()).clone())
        };
        let present: Vec<Option<ShardId>> = self.states().map(wish).collect();
        ring::place_missing(&weights, &present)
    }

    /// Whether `shard` is lost, or not even listed any more.
    pub(super) fn is_lost(&self, shard: &ShardId) -> bool {
        let entry = self.shards.get(shard);
        entry.is_none_or(|entry| entry.state == ShardState::Lost)
    }

    pub(super) fn is_active(&self, shard: &ShardId) -> bool {
        self.shards
            .get(shard)
            .is_some_and(|entry| entry.state == ShardState::Active)
    }

    fn is_trusted(&self, shard: &ShardId) -> bool {
        self.shards
            .get(shard)
            .is_some_and(|entry| entry.incarnation.is_some())
    }

    /// After a move of `before` that has come to nothing: lists what it left, and plans it again while that makes sense.
    fn plan_again(&mut self, before: &Self, partition: Partition) {
        let Some(moved) = before.moved(partition) else {
            return;
        };
        if self.is_active(&moved.to) {
            self.plan.insert(partition, moved.to.clone());
        }
        self.list_cleaning(moved.to, partition);
    }

    /// The next document, in which `decide` has said what becomes of each move.
    fn alter(
        &self,
        change: Change,
        partitions: &[Partition],
        decide: impl Fn(Partition, Move) -> Result<PartitionState, TransitionError>,
    ) -> Result<Self, TransitionError> {
        let mut next = self.next(change)?;
        for partition in partitions {
            let moved = self.moved(*partition);
            let moved = moved.ok_or(TransitionError::NotMoving(*partition))?;
            next.partitions[partition.index()] = decide(*partition, moved)?;
        }
        Ok(next)
    }
}

impl Move {
    fn state(self) -> PartitionState {
        PartitionState::Moving {
            from: self.from,
            to: self.to,
            generation: self.generation,
            aborting: self.aborting,
            history: self.history,
        }
    }
}

/// A partition that is to be opened on `shard`.
pub(super) fn opening(shard: ShardId, generation: Generation, content: OpeningContent) -> PartitionState {
    if !holds(Safeguard::IntentionFirst) {
        return PartitionState::Stable(shard);
    }
    PartitionState::Opening {
        shard,
        generation,
        content,
    }
}
