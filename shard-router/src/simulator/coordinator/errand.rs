//! Moves: announcing what is planned, and doing what an attempt asks for.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Page, Term};
use crate::mover::{Answer, Ask, Attempt, AttemptOptions, Decision};
use crate::partition::Partition;
use crate::shard::ShardError;
use crate::simulator::kernel::MS;
use crate::simulator::world::micros;
use crate::topology::{
    Change, Generation, MoveHistory, PartitionState, ShardId, ShardState, Token, Topology, TransitionError,
};

impl Term {
    /// Announces and carries moves out, as long as the term lasts.
    pub(super) async fn carry_moves(self: Rc<Self>) {
        while !self.over.get() {
            let Some(page) = self.refresh().await else {
                self.world.sleep(self.life, 20 * MS).await;
                continue;
            };
            let Some(topology) = page.topology.clone() else {
                continue;
            };
            if let Some(due) = Attempt::due(&topology).into_iter().next() {
                self.attempt(topology, due).await;
                self.world.sleep(self.life, 5 * MS).await;
                continue;
            }
            let batch = self.batch(&topology);
            if batch.is_empty() {
                self.changed.wait(&self.world, self.life, 100 * MS).await;
                continue;
            }
            let drop = self.world.rng().chance(self.world.profile().drop_history);
            let history = if drop {
                MoveHistory::Drop
            } else {
                MoveHistory::Keep
            };
            let announce = |topology: &Topology, change: Change| topology.announce(change, &batch, history);
            self.announcing.set(true);
            let announced = self.commit(&page, page.least, announce).await;
            self.announcing.set(false);
            if announced.is_err() {
                self.world.sleep(self.life, 10 * MS).await;
            }
        }
    }

    /// Planned moves that can be announced now.
    fn batch(&self, topology: &Topology) -> Vec<Partition> {
        let looked_at = self.looked_at.borrow();
        let trusted = |shard: &ShardId| {
            let entry = topology
                .shards
                .get(shard)
                .filter(|entry| entry.incarnation.is_some());
            entry.filter(|_| !looked_at.contains(shard))
        };
        let possible = |partition: &Partition, to: &ShardId| {
            let PartitionState::Stable(from) = topology.partition(*partition) else {
                return false;
            };
            trusted(from).is_some() && trusted(to).is_some_and(|entry| entry.state == ShardState::Active)
        };
        let planned = topology
            .plan
            .iter()
            .filter(|(partition, to)| possible(partition, to));
        planned
            .map(|(partition, _)| *partition)
            .take(self.world.profile().max_moving)
            .collect()
    }

    /// Does what one attempt asks for, to its end.
    async fn attempt(&self, topology: Arc<Topology>, due: Generation) {
        let options = AttemptOptions {
            barrier_timeout: Duration::from_micros(self.world.profile().barrier_timeout),
            move_rate: None,
        };
        let began = self.world.now();
        let mut attempt = Attempt::new(topology, due, options);
        loop {
            let ask = attempt.next_ask();
            self.world
                .note(|| format!("{} is asked: {ask:?}", self.world.name(self.life)));
            if let Ask::Done(_) = ask {
                return;
            }
            let answer = self.answer(ask, due).await;
            self.doze();
            if let Some(topology) = self.page().topology {
                attempt.observe(topology);
            }
            attempt.answer(Duration::from_micros(self.world.now() - began), answer);
        }
    }

    /// In the midst of a move is where a coordinator that stops does the most harm.
    fn doze(&self) {
        let world = &self.world;
        if world.is_busy() && world.rng().chance(world.profile().doze) {
            let pause = world.rng().between(MS, world.profile().longest_pause);
            world.pause_for(self.life.pid, pause);
        }
    }

    async fn answer(&self, ask: Ask, generation: Generation) -> Answer {
        let (world, life) = (&self.world, self.life);
        match ask {
            Ask::Token => match world.next_token(life).await {
                Ok(token) => Answer::Token(token),
                Err(_) => unreachable(),
            },
            Ask::Gateways => match world.registered(life).await {
                Ok(gateways) => Answer::Gateways(gateways),
                Err(_) => unreachable(),
            },
            Ask::Pause(pause) => {
                world.sleep(life, micros(pause)).await;
                self.refresh().await;
                Answer::Rested
            }
            Ask::Commit(decision) => self.decide(decision, generation).await,
            Ask::Done(_) => Answer::Rested,
            ask => self.at_shard(ask).await.unwrap_or_else(|error| match error {
                ShardError::Refused(words) => Answer::Refused(words),
                error => Answer::Failed(error.to_string()),
            }),
        }
    }

    async fn at_shard(&self, ask: Ask) -> Result<Answer, ShardError> {
        Ok(match ask {
            Ask::Records { shard, partitions } => {
                let records = self.at(&shard, move |state, _| Ok(state.records(&partitions)));
                Answer::Records(records.await?)
            }
            Ask::Fence { shard, commands } => {
                let carry = move |(partition, command): &(Partition, _),
                                  state: &mut crate::memory::state::MemoryState| {
                    state.fence(*partition, command)
                };
                let fenced = self.at(&shard, move |state, _| {
                    Ok(commands
                        .iter()
                        .map(|command| carry(command, state))
                        .collect::<Vec<_>>())
                });
                Answer::Fenced(fenced.await?)
            }
            Ask::Wipe {
                shard,
                partitions,
                generation,
                token,
            } => {
                for partition in partitions {
                    self.wipe(&shard, partition, generation, token).await?;
                }
                Answer::Wiped
            }
            Ask::Scan {
                shard,
                partitions,
                scope,
                cursor,
            } => {
                let scanned = self.at(&shard, move |state, _| {
                    Ok(state.scan(&partitions, scope, &cursor))
                });
                let (items, next) = scanned.await?;
                Answer::Scanned(items, next)
            }
            Ask::Dirty {
                shard,
                generation,
                since,
                scope,
            } => {
                let dirty = self.at(&shard, move |state, _| Ok(state.dirty(generation, &since, scope)));
                Answer::Dirty(dirty.await?)
            }
            Ask::Copy {
                shard,
                generation,
                items,
            } => {
                let copied = self.at(&shard, move |state, now| state.copy(now, generation, &items));
                Answer::Copied(copied.await?)
            }
            Ask::Restore {
                shard,
                generation,
                token,
                parts,
            } => {
                let restored = self.at(&shard, move |state, now| {
                    state.restore(now, generation, token, &parts)
                });
                Answer::Restored(restored.await?)
            }
            other => Answer::Refused(format!("{other:?} is not a shard's")),
        })
    }

    /// Wipes in steps, as a server does with many keys: whatever strikes may strike in between.
    async fn wipe(
        &self,
        shard: &ShardId,
        partition: Partition,
        generation: Generation,
        token: Token,
    ) -> Result<(), ShardError> {
        let steps = self.world.rng().below(3);
        for step in 0..=steps {
            let many = if step < steps { 1 } else { usize::MAX };
            let some = self.at(shard, move |state, _| {
                state.wipe_some(partition, generation, token, many);
                Ok(())
            });
            some.await?;
        }
        Ok(())
    }

    async fn decide(&self, decision: Decision, moving: Generation) -> Answer {
        let page = self.page();
        let named = |partitions: &[Partition]| -> Vec<(Partition, Generation)> {
            partitions.iter().map(|partition| (*partition, moving)).collect()
        };
        let transition = |topology: &Topology, change: Change| -> Result<Topology, TransitionError> {
            match &decision {
                Decision::Commit(partitions) => topology.commit(change, &named(partitions)),
                Decision::Abort(partitions, _) => topology.abort(change, partitions),
                Decision::Aborted(partitions) => topology.aborted(change, partitions),
                Decision::Resume(partitions) => topology.resume(change, partitions),
                Decision::Reclaim(partitions) => topology.reclaim(change, partitions),
            }
        };
        match self.commit(&page, page.least, transition).await {
            Ok(_) => Answer::Decided,
            Err(super::NotWritten::Lost) => Answer::Failed("the topology was changed by another".into()),
            Err(super::NotWritten::Refused) => Answer::Refused("the topology does not allow it".into()),
        }
    }
}

fn unreachable() -> Answer {
    Answer::Failed("the store cannot be reached".into())
}

impl Page {
    /// Whether the shard is one that may be written to by the topology.
    pub(super) fn topology(&self) -> Option<&Arc<Topology>> {
        self.topology.as_ref()
    }
}
