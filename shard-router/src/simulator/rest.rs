//! Coming to rest: once nothing fails any more, everything that was decided is carried out, and everybody has what it was
//! promised.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_common::{Offset, Position};

use super::cast::{Kind, cast, partitions};
use super::clients::{Stage, Subscriber};
use super::world::World;
use crate::partition::Partition;
use crate::topology::{PartitionState, ShardId, ShardState};

impl World {
    /// What is not as it should be at the end, in words.
    pub(super) fn unrest(&self) -> Option<String> {
        let topology = Arc::clone(self.store().present());
        if !topology.plan.is_empty() || !topology.cleaning.is_empty() {
            return Some(format!(
                "left to do: {:?}, {:?}",
                topology.plan, topology.cleaning
            ));
        }
        for partition in partitions() {
            let PartitionState::Stable(owner) = topology.partition(*partition) else {
                return Some(format!(
                    "partition {partition} is {:?}",
                    topology.partition(*partition)
                ));
            };
            let serving = self.serving(*partition);
            if serving != [owner.clone()] {
                return Some(format!(
                    "partition {partition} of {owner} is served by {serving:?}"
                ));
            }
            if let Some(words) = self.leftovers(*partition, owner) {
                return Some(words);
            }
        }
        for gateway in self.alive() {
            let applied = gateway.applied().map(|applied| applied.generation);
            if applied != Some(topology.generation) {
                return Some(format!(
                    "{} serves {applied:?}, not {}",
                    self.name(gateway.life),
                    topology.generation
                ));
            }
            if let Some(words) = gateway.unrest() {
                return Some(format!("{}: {words}", self.name(gateway.life)));
            }
        }
        let unacknowledged = {
            let now = self.now();
            self.store().unacknowledged(now)
        };
        let checks = [Self::listeners, Self::unserved, |world: &Self| {
            world.ears().unheard(world)
        }];
        unacknowledged.or_else(|| checks.iter().find_map(|check| check(self)))
    }

    /// What a shard holds of a partition that is another's.
    fn leftovers(&self, partition: Partition, owner: &ShardId) -> Option<String> {
        let servers = self.servers();
        let topology = Arc::clone(self.store().present());
        // What has left the list is nobody's business, until it is added again.
        let listed = |shard: &ShardId| {
            let entry = topology.shards.get(shard);
            entry.is_some_and(|entry| entry.state != ShardState::Lost)
        };
        let others = servers
            .values()
            .filter(|server| server.id != *owner && listed(&server.id));
        for server in others {
            let Some(state) = &server.state else { continue };
            let left = cast().iter().filter(|role| role.partition == partition);
            let left = left.filter(|role| state.holds(partition, &role.name)).count();
            if left > 0 {
                return Some(format!(
                    "{} still holds {left} channels of partition {partition}",
                    server.id
                ));
            }
        }
        None
    }

    /// Subscriptions are where the owner is, and nowhere else.
    fn listeners(&self) -> Option<String> {
        let topology = Arc::clone(self.store().present());
        let servers = self.servers();
        for role in cast() {
            let wanted: BTreeSet<_> = self
                .alive()
                .into_iter()
                .filter(|gateway| gateway.wants(&role.name))
                .map(|gateway| gateway.life)
                .collect();
            for server in servers.values() {
                let Some(state) = &server.state else { continue };
                let owner = topology.partition(role.partition).owner() == &server.id;
                let listening: BTreeSet<_> = server
                    .links
                    .values()
                    .filter(|link| state.listens(link.key, role.partition, &role.name))
                    .map(|link| link.client())
                    .collect();
                let expected = if owner { wanted.clone() } else { BTreeSet::new() };
                if listening != expected {
                    let names: Vec<_> = listening.iter().map(|life| self.name(*life)).collect();
                    return Some(format!("{names:?} listen to {} on {}", role.name, server.id));
                }
            }
        }
        None
    }

    /// Whether a subscriber has all of a stream that was left behind in a move, and nothing has followed it.
    fn has_all(&self, subscriber: &Subscriber, position: Option<&Position>) -> bool {
        let Some(place) = &subscriber.place else {
            return false;
        };
        let truth = self.truth();
        let role = subscriber.role;
        truth.was_dropped(role)
            && position.is_none_or(|position| position.offset == Offset::ZERO)
            && truth
                .channel(&role.name)
                .top(&place.epoch)
                .is_none_or(|top| top == place.offset)
    }

    /// Subscribers that do not have what they were promised.
    fn unserved(&self) -> Option<String> {
        let topology = Arc::clone(self.store().present());
        let subscribers = self.subscribers();
        for (number, subscriber) in subscribers.iter().enumerate() {
            let Stage::Joined(gateway) = &subscriber.stage else {
                return Some(format!("subscriber {number} has not joined"));
            };
            if !self.kernel().is_alive(gateway.life) {
                return Some(format!("subscriber {number} is on a gateway that has died"));
            }
            if subscriber.role.kind == Kind::Plain {
                continue;
            }
            let owner = topology.partition(subscriber.role.partition).owner();
            let servers = self.servers();
            let state = servers.get(owner).and_then(|server| server.state.as_ref());
            let position =
                state.and_then(|state| state.peek(subscriber.role.partition, &subscriber.role.name));
            // A position that has expired is not missed by anybody.
            let expired = position.is_none() && subscriber.role.kind == Kind::Brief;
            if position != subscriber.place && !expired && !self.has_all(subscriber, position.as_ref()) {
                let has = &subscriber.place;
                return Some(format!(
                    "subscriber {number} is at {has:?}, {} at {position:?}",
                    subscriber.role.name
                ));
            }
        }
        None
    }
}
