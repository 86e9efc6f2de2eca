//! What must be so after each event, whatever happened before it.

use super::cast::{cast, partitions};
use super::world::World;
use crate::partition::Partition;
use crate::topology::{Incarnation, MoveHistory, PartitionState, ShardId, ShardState, Topology};

impl World {
    /// Looks at what may have been changed by the last event.
    pub(super) fn look(&self) {
        if self.take_touched() {
            self.one_writer();
            self.nothing_forgotten();
        }
    }

    /// At most one shard in office accepts publications of a partition. A shard that was evicted, and does not know it, or a
    /// run that nobody trusts yet, is not in office: what it may still accept has epochs of its own, which
    /// `offsets_dense` and `epochs_never_return` see to.
    fn one_writer(&self) {
        for partition in partitions() {
            let serving: Vec<ShardId> = self.serving(*partition);
            if serving.len() > 1 {
                self.violated("one_writer", || {
                    format!("partition {partition} is served by {serving:?}")
                });
            }
        }
    }

    /// The shards in office that serve `partition` by their own records.
    pub(super) fn serving(&self, partition: Partition) -> Vec<ShardId> {
        let topology = std::sync::Arc::clone(self.store().present());
        let servers = self.servers();
        let serves = servers.values().filter(|server| {
            server.state.as_ref().is_some_and(|state| {
                in_office(&topology, &server.id, state.run())
                    && state
                        .record(partition)
                        .is_some_and(|record| record.state.serves())
            })
        });
        serves.map(|server| server.id.clone()).collect()
    }

    /// A shard in office that serves a partition has all that was ever accepted in the epochs it goes on with.
    fn nothing_forgotten(&self) {
        for role in cast() {
            for shard in self.serving(role.partition) {
                let position = {
                    let servers = self.servers();
                    let state = servers[&shard].state.as_ref();
                    state.and_then(|state| state.peek(role.partition, &role.name))
                };
                let Some(position) = position else { continue };
                let top = self.truth().channel(&role.name).top(&position.epoch);
                if top > Some(position.offset) {
                    self.violated("nothing_forgotten", || {
                        format!(
                            "{shard} has {} at {position}, and {top:?} was accepted",
                            role.name
                        )
                    });
                }
            }
        }
    }

    /// The store has replaced a document.
    pub(super) fn stored(&self, before: &Topology, next: &Topology) {
        self.touch();
        self.note(|| {
            let states: Vec<String> = partitions()
                .iter()
                .map(|partition| format!("{partition}: {}", words(next.partition(*partition))))
                .collect();
            format!("the store has {}: {}", next.generation, states.join(", "))
        });
        let now = self.now();
        for partition in partitions() {
            let (old, new) = (before.partition(*partition), next.partition(*partition));
            if old == new {
                continue;
            }
            let drops = |state: &PartitionState| matches!(state, PartitionState::Moving { history, .. } if *history == MoveHistory::Drop);
            if drops(old) || drops(new) {
                self.truth().note_drop(*partition, (!drops(new)).then_some(now));
            }
            if matches!(new, PartitionState::Opening { .. }) {
                self.truth().note_loss(*partition, now);
                let roles = cast().iter().filter(|role| role.partition == *partition);
                let names: Vec<_> = roles.map(|role| role.name.clone()).collect();
                self.ears().overruled(self, &names, next.generation);
            }
        }
    }
}

/// Whether `run` of `shard` is trusted.
pub(super) fn in_office(topology: &Topology, shard: &ShardId, run: &Incarnation) -> bool {
    let entry = topology.shards.get(shard);
    entry.is_some_and(|entry| entry.state != ShardState::Lost && entry.incarnation.as_ref() == Some(run))
}

fn words(state: &PartitionState) -> String {
    match state {
        PartitionState::Stable(shard) => shard.to_string(),
        PartitionState::Opening {
            shard,
            generation,
            content,
        } => format!("opening on {shard} by {generation} ({content:?})"),
        PartitionState::Moving {
            from,
            to,
            generation,
            aborting,
            history,
        } => format!("{from} to {to} by {generation}, {history:?}, aborting {aborting:?}"),
    }
}
