//! What is written into the topology, and the ways out of a move that cannot be carried.

use super::moves::{Move, Target, pairs, partitions};
use super::script::{Script, Stop};
use super::standing::Course;
use super::{Abandonment, Answer, Ask, Decision, Stage};
use crate::fence::{FenceCommand, FenceReply, OwnerState};
use crate::partition::Partition;
use crate::topology::ShardId;

impl Script {
    /// Does what `course` says for `moves`.
    pub(super) async fn settle(&mut self, course: Course, moves: Vec<Move>) -> Result<(), Stop> {
        match course {
            Course::Resume => {
                self.decide(partitions(&moves), Decision::Resume, is_aborting)
                    .await
            }
            Course::Aborted => {
                self.decide(partitions(&moves), Decision::Aborted, is_aborting)
                    .await
            }
            Course::Abort => self.abort(moves).await,
            Course::Reclaim => self.reclaim(moves).await,
            Course::Abandon => self.give_up(moves).await,
            Course::Forsake => self.forsake(moves).await,
            Course::Commit | Course::Finish | Course::Carry | Course::Wait => Ok(()),
        }
    }

    /// Writes down that `partitions` are open at their targets.
    pub(super) async fn commit(&mut self, partitions: Vec<Partition>) -> Result<(), Stop> {
        self.decide(partitions, Decision::Commit, |one| one.aborting.is_none())
            .await
    }

    /// Decides that `moves` are abandoned, and carries it out.
    pub(super) async fn abandon(&mut self, moves: &[Move], why: Abandonment) -> Result<(), Stop> {
        let decision = |partitions| Decision::Abort(partitions, why.clone());
        self.decide(partitions(moves), decision, |one| one.aborting.is_none())
            .await?;
        let aborting = self.present(moves, is_aborting);
        self.abort(aborting).await
    }

    /// Abandons what the source serves and the target cannot take.
    async fn give_up(&mut self, moves: Vec<Move>) -> Result<(), Stop> {
        for ((_, to), moves) in pairs(&moves) {
            let why = match moves[0].target {
                Target::Lost | Target::Readmitted => Abandonment::TargetLost(to),
                Target::Same => Abandonment::Overtaken,
            };
            self.abandon(&moves, why).await?;
        }
        Ok(())
    }

    /// Abandons what the source serves and whose target does not answer.
    async fn forsake(&mut self, moves: Vec<Move>) -> Result<(), Stop> {
        for ((_, to), moves) in pairs(&moves) {
            self.abandon(&moves, Abandonment::TargetSilent(to)).await?;
        }
        Ok(())
    }

    /// Has the sources of `moves`, which are being abandoned, serve them again.
    async fn abort(&mut self, moves: Vec<Move>) -> Result<(), Stop> {
        let moving = self.generation;
        for ((from, _), moves) in pairs(&moves) {
            let command = |one: &Move| FenceCommand::Abort {
                generation: one.aborting.unwrap_or(moving),
                moving,
            };
            let replies = self.fence(&from, &moves, command).await?;
            let (mut served, mut too_late) = (Vec::new(), Vec::new());
            for (one, reply) in moves.iter().zip(&replies) {
                match reply {
                    FenceReply::Done => served.push(one.partition),
                    FenceReply::Refused(Some(record))
                        if record.generation > moving && record.state.serves() =>
                    {
                        served.push(one.partition);
                    }
                    FenceReply::Refused(Some(record))
                        if record.generation == moving && record.state == OwnerState::Sealed =>
                    {
                        too_late.push(one.clone());
                    }
                    FenceReply::Refused(_) => {
                        return Err(Stop::in_the_way("the abandonment", one.partition, reply));
                    }
                }
            }
            self.decide(served, Decision::Aborted, is_aborting).await?;
            let (lost, there): (Vec<Move>, Vec<Move>) =
                too_late.into_iter().partition(|one| one.target != Target::Same);
            self.decide(partitions(&there), Decision::Resume, is_aborting)
                .await?;
            self.reclaim(lost).await?;
        }
        Ok(())
    }

    /// Gives `moves`, which are closed at their sources, back to them: first what may be filled at a target is closed
    /// there for good, so that no late attempt opens it.
    async fn reclaim(&mut self, moves: Vec<Move>) -> Result<(), Stop> {
        for ((_, to), moves) in pairs(&moves) {
            let opened = match moves[0].target {
                Target::Lost => Vec::new(),
                Target::Same | Target::Readmitted => self.close(&to, &moves).await?,
            };
            let closed = partitions(&moves);
            let closed = closed.into_iter().filter(|partition| !opened.contains(partition));
            self.decide(closed.collect(), Decision::Reclaim, |_| true).await?;
            self.commit(opened).await?;
        }
        Ok(())
    }

    /// Closes `moves` at their target; which of them are open there by the move and so are not to be closed.
    async fn close(&mut self, to: &ShardId, moves: &[Move]) -> Result<Vec<Partition>, Stop> {
        let through = self.generation;
        // A target that was admitted anew may have lost what it acknowledged: what it has open does not count.
        let later = self.desk.topology().generation;
        let command = |one: &Move| match one.target {
            Target::Readmitted => FenceCommand::Admit {
                generation: later,
                keep_epochs: false,
            },
            Target::Same | Target::Lost => FenceCommand::Close { through },
        };
        let replies = self.fence(to, moves, command).await?;
        let mut opened = Vec::new();
        for (one, reply) in moves.iter().zip(&replies) {
            match reply {
                FenceReply::Refused(Some(record))
                    if record.generation == through && record.state.serves() =>
                {
                    opened.push(one.partition);
                }
                // Closed now, or not to be opened by this move for another reason.
                FenceReply::Done | FenceReply::Refused(_) => {}
            }
        }
        Ok(opened)
    }

    /// Writes down a decision about `partitions`, as far as the topology still `needs` it.
    async fn decide(
        &mut self,
        partitions: Vec<Partition>,
        decision: impl Fn(Vec<Partition>) -> Decision,
        needs: impl Fn(&Move) -> bool,
    ) -> Result<(), Stop> {
        loop {
            let moves = self.moves();
            let left: Vec<Partition> = moves
                .iter()
                .filter(|one| partitions.contains(&one.partition) && needs(one))
                .map(|one| one.partition)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            self.stage(Stage::Deciding);
            match self.ask(Ask::Commit(decision(left))).await? {
                Answer::Decided => {}
                other => return Err(Stop::unfit(&other)),
            }
        }
    }

    /// `moves` as the newest topology has them, as far as they fit.
    fn present(&self, moves: &[Move], fits: impl Fn(&Move) -> bool) -> Vec<Move> {
        let mut present = self.moves();
        present.retain(|one| fits(one) && moves.iter().any(|other| other.partition == one.partition));
        present
    }
}

fn is_aborting(one: &Move) -> bool {
    one.aborting.is_some()
}
