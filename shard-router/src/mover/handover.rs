//! The barrier, and what follows it: seal, last copy, open.

use std::time::Duration;

use super::copying::all_done;
use super::moves::{Move, pairs, partitions};
use super::script::{Script, Stop};
use super::{Abandonment, Answer, Ask, Stage};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::safeguard::{Safeguard, holds};
use crate::store::{GatewayId, GatewayReport};
use crate::topology::ShardId;

/// Partitions that are closed at the same time: few, so that the last copy is short.
const GROUP: usize = 16;

/// How often the registry is read at the barrier.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Script {
    /// Waits until every live gateway has applied the announcement. False: one has not, and the moves are abandoned.
    pub(super) async fn barrier(&mut self, moves: &[Move]) -> Result<bool, Stop> {
        if !holds(Safeguard::Barrier) {
            return Ok(true);
        }
        self.stage(Stage::Barrier);
        let mut until = None;
        loop {
            let gateways = match self.ask(Ask::Gateways).await? {
                Answer::Gateways(gateways) => gateways,
                other => return Err(Stop::unfit(&other)),
            };
            let Some((gateway, report)) = self.late(gateways) else {
                return Ok(true);
            };
            let now = self.desk.now();
            if now >= *until.get_or_insert(now + self.options.barrier_timeout) {
                let obstacle = report.obstacle;
                self.abandon(moves, Abandonment::Barrier { gateway, obstacle })
                    .await?;
                return Ok(false);
            }
            self.ask(Ask::Pause(LOOK_EVERY)).await?;
        }
    }

    /// A gateway that has not applied the announcement.
    fn late(&self, gateways: Vec<(GatewayId, GatewayReport)>) -> Option<(GatewayId, GatewayReport)> {
        let mut gateways = gateways.into_iter();
        gateways.find(|(_, report)| report.applied < self.generation)
    }

    /// Takes `moves`, which are copied, from their sources to their targets, and writes it down.
    pub(super) async fn hand_over(&mut self, moves: Vec<Move>) -> Result<(), Stop> {
        self.stage(Stage::HandingOver);
        for ((from, to), moves) in pairs(&moves) {
            for group in moves.chunks(GROUP) {
                let handed = self.hand_group((&from, &to), group).await;
                self.sealed.clear();
                if let Err(stop) = handed {
                    // What is open already need not wait for the next attempt.
                    let opened = std::mem::take(&mut self.opened);
                    self.commit(opened).await?;
                    return Err(stop);
                }
            }
        }
        let opened = std::mem::take(&mut self.opened);
        self.commit(opened).await
    }

    async fn hand_group(&mut self, (from, to): (&ShardId, &ShardId), group: &[Move]) -> Result<(), Stop> {
        let (generation, token) = (self.generation, self.token);
        self.round(group).await?;
        // Before the point of no return: the target is there, and waits for nobody else.
        let targets = self.records(to, partitions(group)).await?;
        if let Some(one) = first_not(group, &targets, |record| {
            record.generation == generation && record.state == OwnerState::Importing && record.token == token
        }) {
            let words = format!("partition {} is being filled by another attempt", one.partition);
            return Err(Stop::Refused(words));
        }
        self.sealed = group.to_vec();
        let replies = self
            .fence(from, group, |_| FenceCommand::Seal { generation })
            .await?;
        all_done("the seal", group, &replies)?;
        if holds(Safeguard::DirtyCopied) {
            self.round(group).await?;
        }
        self.reread(from, group).await?;
        let replies = self
            .fence(to, group, |_| FenceCommand::Open { generation, token })
            .await?;
        for (one, reply) in group.iter().zip(&replies) {
            match reply {
                FenceReply::Done => self.opened.push(one.partition),
                FenceReply::Refused(_) => return Err(Stop::in_the_way("the opening", one.partition, reply)),
            }
        }
        Ok(())
    }

    /// What was copied is still what the source holds.
    async fn reread(&mut self, from: &ShardId, group: &[Move]) -> Result<(), Stop> {
        if !holds(Safeguard::SourceReread) {
            return Ok(());
        }
        let generation = self.generation;
        let records = self.records(from, partitions(group)).await?;
        let changed = first_not(group, &records, |record| {
            record.generation == generation && record.state == OwnerState::Sealed
        });
        changed.map_or(Ok(()), |one| {
            let words = format!("partition {} is not sealed at {from} any more", one.partition);
            Err(Stop::Refused(words))
        })
    }
}

/// The first of `group` whose record is not as it should be.
fn first_not<'a>(
    group: &'a [Move],
    records: &[Option<OwnerRecord>],
    fits: impl Fn(&OwnerRecord) -> bool,
) -> Option<&'a Move> {
    let mut both = group.iter().zip(records);
    both.find(|(_, record)| !record.as_ref().is_some_and(&fits))
        .map(|(one, _)| one)
}
