//! A gateway's way to one shard: a command connection and the Pub/Sub links, to the trusted run and no other.

use std::rc::Rc;
use std::sync::Arc;

use super::{Gateway, LANES};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};
use crate::shard::lane_of;
use crate::simulator::cast::partitions;
use crate::simulator::connection::Connection;
use crate::simulator::kernel::MS;
use crate::simulator::link::Link;
use crate::simulator::world::World;
use crate::topology::{Generation, Incarnation, PartitionState, ShardId, ShardState, Topology};

pub(super) struct Way {
    trusted: Option<Incarnation>,
    admitted: Generation,
    /// Names this way; a task that finds another one here ends.
    era: u64,
    connection: Option<Connection>,
    links: [Option<Rc<Link>>; LANES as usize],
}

impl Way {
    /// The link of one lane.
    pub(super) fn link(&self, lane: usize) -> Option<Rc<Link>> {
        self.links[lane].clone()
    }

    /// Whether connections made by `trusted` and `admitted` may stay.
    fn is_still(&self, trusted: Option<&Incarnation>, admitted: Generation) -> bool {
        let same_run = self.trusted.as_ref() == trusted;
        let same_admission = self.admitted == admitted || !holds(Safeguard::ConnectionsRenewed);
        same_run && same_admission
    }
}

impl Gateway {
    /// Has ways to the shards that `topology` lists, and to no others.
    pub(super) fn open_ways(self: &Rc<Self>, world: &World, topology: &Arc<Topology>) {
        let served = |shard: &ShardId| {
            let entry = topology.shards.get(shard);
            entry.filter(|entry| entry.state != ShardState::Lost)
        };
        let known: Vec<ShardId> = self.state().ways.keys().cloned().collect();
        for shard in known {
            let stays = served(&shard).is_some_and(|entry| {
                self.state().ways[&shard].is_still(entry.incarnation.as_ref(), entry.admitted)
            });
            if !stays {
                self.close_way(world, &shard);
            }
        }
        for shard in topology.shards.keys() {
            let Some(entry) = served(shard) else { continue };
            if self.state().ways.contains_key(shard) {
                continue;
            }
            let era = world.number();
            let way = Way {
                trusted: entry.incarnation.clone(),
                admitted: entry.admitted,
                era,
                connection: None,
                links: [const { None }; LANES as usize],
            };
            self.state().ways.insert(shard.clone(), way);
            if entry.incarnation.is_some() {
                self.travel(world, shard, era);
            }
        }
    }

    pub(super) fn close_ways(self: &Rc<Self>, world: &World) {
        let known: Vec<ShardId> = self.state().ways.keys().cloned().collect();
        for shard in known {
            self.close_way(world, &shard);
        }
    }

    fn close_way(self: &Rc<Self>, world: &World, shard: &ShardId) {
        let Some(way) = self.state().ways.remove(shard) else {
            return;
        };
        world.note(|| format!("{} closes its way to {shard}", world.name(self.life)));
        if let Some(connection) = &way.connection {
            connection.break_now(world);
        }
        for link in way.links.into_iter().flatten() {
            link.close(world);
            self.link_down(world, &link);
        }
    }

    fn travel(self: &Rc<Self>, world: &World, shard: &ShardId, era: u64) {
        let (gateway, world_of_task, id) = (Rc::clone(self), world.clone(), shard.clone());
        world.spawn(self.life, async move {
            gateway.keep_connected(world_of_task, id, era).await;
        });
        for lane in 0..LANES {
            let (gateway, world_of_task, id) = (Rc::clone(self), world.clone(), shard.clone());
            world.spawn(self.life, async move {
                gateway.keep_linked(world_of_task, id, era, lane).await;
            });
        }
    }

    async fn keep_connected(self: Rc<Self>, world: World, shard: ShardId, era: u64) {
        loop {
            let connection = world.connect(self.life, &shard).await;
            {
                let mut state = self.state();
                let Some(way) = state.ways.get_mut(&shard).filter(|way| way.era == era) else {
                    return;
                };
                let trusted = |connection: &Connection| {
                    way.trusted.as_ref() == Some(connection.run()) || !holds(Safeguard::IncarnationChecked)
                };
                way.connection = connection.filter(trusted);
            }
            self.stirred.notify(&world);
            if let Some(connection) = self.connection(&shard) {
                connection.gone(&world).await;
            }
            world.sleep(self.life, 5 * MS).await;
        }
    }

    async fn keep_linked(self: Rc<Self>, world: World, shard: ShardId, era: u64, lane: u8) {
        loop {
            if self.state().ways.get(&shard).is_none_or(|way| way.era != era) {
                return;
            }
            let Some(connection) = self.connection(&shard) else {
                self.stirred.wait(&world, self.life, 20 * MS).await;
                continue;
            };
            let attached = world.attach(self.life, &shard, connection.server(), lane).await;
            let Some(link) = attached else {
                world.sleep(self.life, 5 * MS).await;
                continue;
            };
            self.ask_what_is_sealed(&world, &connection, &link).await;
            if !self.enter(&link, era) {
                link.close(&world);
                continue;
            }
            for partition in partitions()
                .iter()
                .filter(|partition| lane_of(**partition, LANES) == lane)
            {
                self.tend_partition(&world, *partition);
            }
            link.gone(&world).await;
        }
    }

    /// Before anything is subscribed on a new link: what was sealed before it was there to bring the marker.
    async fn ask_what_is_sealed(self: &Rc<Self>, world: &World, connection: &Connection, link: &Rc<Link>) {
        let leaving: Vec<Partition> = {
            let state = self.state();
            let Some(topology) = &state.topology else { return };
            let leaves = |partition: &Partition| {
                let moving = topology.partition(*partition);
                matches!(moving, PartitionState::Moving { from, .. } if *from == link.shard)
                    && lane_of(*partition, LANES) == link.lane
            };
            partitions().iter().copied().filter(leaves).collect()
        };
        if leaving.is_empty() {
            return;
        }
        let patience = world.profile().patience;
        let sealed = connection.call(world, patience, move |state, _| Ok(state.sealed(&leaving)));
        if let Ok(sealed) = sealed.await {
            self.found_sealed(world, link, sealed);
        }
    }

    /// Takes a new link into use; false if it is not wanted any more.
    fn enter(&self, link: &Rc<Link>, era: u64) -> bool {
        let mut state = self.state();
        let Some(way) = state.ways.get_mut(&link.shard).filter(|way| way.era == era) else {
            return false;
        };
        if link.is_closed() {
            return false;
        }
        way.links[usize::from(link.lane)] = Some(Rc::clone(link));
        true
    }

    /// The connection to `shard`, while there is one.
    pub(super) fn connection(&self, shard: &ShardId) -> Option<Connection> {
        let state = self.state();
        let connection = state.ways.get(shard)?.connection.as_ref()?;
        (!connection.is_broken()).then(|| connection.clone())
    }

    /// The link that carries `partition` from `shard`, while there is one.
    pub(super) fn link(&self, shard: &ShardId, partition: Partition) -> Option<Rc<Link>> {
        let state = self.state();
        let lane = usize::from(lane_of(partition, LANES));
        let link = state.ways.get(shard)?.links[lane].as_ref()?;
        (!link.is_closed()).then(|| Rc::clone(link))
    }
}
