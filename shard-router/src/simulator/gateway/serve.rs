//! Applying topologies, whole and in order, and what markers and ends of links mean for them.

use std::rc::Rc;
use std::sync::Arc;

use super::{Gateway, LANES};
use crate::handover::{Change, Effect};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};
use crate::shard::lane_of;
use crate::simulator::cast::partitions;
use crate::simulator::link::Link;
use crate::simulator::world::World;
use crate::topology::{Generation, Topology};

impl Gateway {
    /// Applies the newest topology if that may be done now.
    pub(super) fn consider(self: &Rc<Self>, world: &World) {
        let Some((joined, newest)) = self.state().newest.clone() else {
            return;
        };
        if joined > self.state().serving {
            let again = self.state().serving > 0;
            self.state().serving = joined;
            if again {
                self.begin_anew(world);
            }
        }
        let applied = self.state().topology.as_ref().map(|topology| topology.generation);
        if applied >= Some(newest.generation) {
            return self.acknowledge(world);
        }
        let mut state = self.state();
        for partition in partitions() {
            state.handovers.entry(*partition).or_default();
        }
        let waits =
            |partition: &&Partition| !state.handovers[partition].may_apply(newest.partition(**partition));
        let waiting: Vec<Partition> = partitions().iter().filter(waits).copied().collect();
        if waiting.is_empty() {
            drop(state);
            return self.apply(world, newest);
        }
        for partition in &waiting {
            let next = newest.partition(*partition);
            if let Some(handover) = state.handovers.get_mut(partition) {
                handover.foresee(next);
            }
        }
        drop(state);
        world.note(|| format!("{} must wait with {}", world.name(self.life), newest.generation));
        for partition in waiting {
            self.tend_partition(world, partition);
        }
    }

    fn apply(self: &Rc<Self>, world: &World, topology: Arc<Topology>) {
        world.note(|| format!("{} serves {}", world.name(self.life), topology.generation));
        self.open_ways(world, &topology);
        let mut changes = Vec::new();
        {
            let mut state = self.state();
            for partition in partitions() {
                let next = topology.partition(*partition);
                if let Some(handover) = state.handovers.get_mut(partition) {
                    let change = handover.apply(next, topology.generation);
                    changes.push((*partition, change));
                }
            }
            state.topology = Some(topology);
        }
        for (partition, change) in changes {
            if change == Change::Broken {
                self.detach_partition(world, partition);
            }
            self.settle_partition(world, partition);
            self.tend_partition(world, partition);
        }
        self.stirred.notify(world);
        self.acknowledge(world);
    }

    /// A marker arrived.
    pub(super) fn marker(
        self: &Rc<Self>,
        world: &World,
        link: &Link,
        partition: Partition,
        generation: Generation,
    ) {
        // Each link of a shard brings every marker; only that of the partition's own link says something of its messages.
        if lane_of(partition, LANES) != link.lane {
            return;
        }
        let effect = {
            let mut state = self.state();
            let handover = state.handovers.get_mut(&partition);
            handover.map_or(Effect::Nothing, |handover| {
                handover.marker(&link.shard, link.serial(), generation)
            })
        };
        self.take_effect(world, partition, effect);
    }

    /// A shard said, when asked over its command connection, that it has sealed a partition.
    pub(super) fn found_sealed(
        self: &Rc<Self>,
        world: &World,
        link: &Link,
        sealed: Vec<(Partition, Generation)>,
    ) {
        for (partition, generation) in sealed {
            let effect = {
                let mut state = self.state();
                let handover = state.handovers.get_mut(&partition);
                handover.map_or(Effect::Nothing, |handover| {
                    handover.sealed(&link.shard, link.serial(), generation)
                })
            };
            self.take_effect(world, partition, effect);
        }
    }

    /// What a marker, the end of a link or of a subscription means.
    pub(super) fn take_effect(self: &Rc<Self>, world: &World, partition: Partition, effect: Effect) {
        match effect {
            Effect::Nothing => return,
            Effect::Released => self.settle_partition(world, partition),
            Effect::Expired => {
                world.note(|| format!("{} stops serving partition {partition}", world.name(self.life)));
                self.detach_partition(world, partition);
                self.settle_partition(world, partition);
            }
        }
        self.tend_partition(world, partition);
        self.consider(world);
    }

    /// Everything from before counts for nothing.
    fn begin_anew(self: &Rc<Self>, world: &World) {
        world.note(|| format!("{} begins anew", world.name(self.life)));
        if holds(Safeguard::RejoinAfresh) {
            self.close_ways(world);
        }
        let mut state = self.state();
        let super::State {
            handovers, channels, ..
        } = &mut *state;
        for handover in handovers.values_mut() {
            handover.rejoin();
        }
        for channel in channels.values_mut() {
            channel.subscriptions.rejoin();
            if holds(Safeguard::RejoinAfresh) {
                channel.asked.clear();
                channel.feed.detached();
            }
        }
        let topology = state.topology.clone();
        drop(state);
        for partition in partitions() {
            self.interrupted(world, *partition);
        }
        if let Some(topology) = topology {
            self.open_ways(world, &topology);
        }
        for partition in partitions() {
            self.tend_partition(world, *partition);
        }
    }
}
