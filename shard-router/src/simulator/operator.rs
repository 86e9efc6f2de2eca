//! Operators: they ask for moves, add, drain and remove shards, change weights, evict, and take back.

use super::cast::partitions;
use super::kernel::Life;
use super::world::World;
use crate::partition::Partition;
use crate::topology::{
    Change, PartitionState, ShardId, ShardRequest, ShardState, ShardUrl, Topology, WantedShard,
};

/// The shard that holds what is not played with: nothing ever happens to it.
pub(super) const BULK: &str = "Z";

impl World {
    /// Has operators ask for something again and again.
    pub(super) fn start_operators(&self) {
        let life = self.kernel().process();
        self.call_it(life, "operator".into());
        self.set_operator(life);
        self.request_later(life);
    }

    fn request_later(&self, life: Life) {
        let pause = self.about(self.profile().request_every);
        self.later(pause, move |world| {
            if world.is_busy() {
                let of_world = world.clone();
                world.spawn(life, async move { of_world.ask_for_something(life).await });
                world.request_later(life);
            }
        });
    }

    async fn ask_for_something(self, life: Life) {
        let Ok(topology) = self.read_topology(life).await else {
            return;
        };
        let mood = self.rng().below(100);
        let next = if mood < 60 {
            self.plan_some(&topology)
        } else {
            self.change_list(&topology, mood)
        };
        let Some(next) = next else { return };
        if next.validate().is_err() {
            return;
        }
        self.note(|| format!("an operator plans {:?}", next.plan));
        // Whoever loses to another asks again.
        let _ = self.compare_and_set(life, &topology, next).await;
    }

    /// Plans some moves, whatever else is under way.
    fn plan_some(&self, topology: &Topology) -> Option<Topology> {
        let active = usable(topology);
        let mut plan = topology.plan.clone();
        let count = self.rng().between(1, 2);
        for _ in 0..count {
            let partition = partitions()[self.rng().index(partitions().len())];
            let to = self.rng().pick(&active)?.clone();
            let movable =
                matches!(topology.partition(partition), PartitionState::Stable(from) if *from != to);
            if movable && !plan.contains_key(&partition) {
                plan.insert(partition, to);
            }
        }
        if plan == topology.plan {
            return None;
        }
        let planned = topology.planned.max(plan.len() + topology.moving());
        Some(Topology {
            generation: topology.generation.next(),
            change_id: self.number(),
            plan,
            planned,
            ..topology.clone()
        })
    }

    /// Changes the shard list. Of the plan that follows only what is played with is carried out.
    fn change_list(&self, topology: &Topology, mood: u64) -> Option<Topology> {
        let known: Vec<ShardId> = self
            .servers()
            .keys()
            .filter(|id| id.as_str() != BULK)
            .cloned()
            .collect();
        let id = self.rng().pick(&known)?.clone();
        let request = match (topology.shards.get(&id).map(|entry| entry.state), mood) {
            (None, _) => ShardRequest::Add {
                shard: wanted(&id),
                id,
            },
            (Some(ShardState::Draining | ShardState::Leaving), _) => ShardRequest::Readmit(id),
            (Some(ShardState::Active), 60..=74) => ShardRequest::Drain(id),
            (Some(ShardState::Lost), _) | (Some(ShardState::Active), 75..=92) => ShardRequest::Remove(id),
            (Some(ShardState::Active), weight) => {
                let weight = u32::try_from(weight - 90).unwrap_or(1);
                ShardRequest::Weight(id, weight)
            }
        };
        let change = self.change(topology);
        let mut next = topology.apply(change, &request).ok()?;
        self.note(|| format!("an operator asks: {request:?}"));
        let foreign = |partition: &Partition| !partitions().contains(partition);
        next.plan.retain(|partition, _| !foreign(partition));
        next.planned = next.plan.len();
        Some(next)
    }

    /// Evicts a shard, dead or alive.
    pub(super) async fn evict(self, life: Life, shard: ShardId) {
        for _ in 0..20 {
            if let Ok(topology) = self.read_topology(life).await {
                let Ok(next) = topology.evict(self.change(&topology), &shard) else {
                    return;
                };
                self.note(|| format!("{shard} is to be evicted"));
                if self.compare_and_set(life, &topology, next).await == Ok(true) {
                    return;
                }
            }
            let pause = self.latency();
            self.sleep(life, pause).await;
        }
    }

    fn change(&self, topology: &Topology) -> Change {
        Change {
            generation: topology.generation.next(),
            id: self.number(),
        }
    }
}

/// Shards that may be given something.
fn usable(topology: &Topology) -> Vec<ShardId> {
    let usable = topology
        .shards
        .iter()
        .filter(|(_, entry)| entry.state == ShardState::Active);
    usable.map(|(id, _)| id.clone()).collect()
}

/// A shard as it is described.
pub(super) fn wanted(id: &ShardId) -> WantedShard {
    WantedShard {
        url: ShardUrl::new(ShardUrl::MEMORY),
        address: id.to_string(),
        weight: 1,
        durable: false,
    }
}
