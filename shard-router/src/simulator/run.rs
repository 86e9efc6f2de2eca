//! One run: a world made from a seed, a while of trouble, and the time it may take to come to rest.

use std::collections::BTreeMap;

use super::cast::partitions;
use super::kernel::{Micros, SECOND};
use super::operator::{BULK, wanted};
use super::profile::Profile;
use super::rng::Rng;
use super::server::Server;
use super::store::Store;
use super::trace::{Recording, Trace, Violation};
use super::world::World;
use crate::fence::FenceCommand;
use crate::partition::Partition;
use crate::topology::{Change, Generation, Incarnation, PartitionState, ShardId, Token, Topology};

/// How long everything may take to come to rest once nothing fails any more.
const REST: Micros = 30 * SECOND;

/// What came of a run.
pub(super) struct Outcome {
    pub(super) seed: u64,
    pub(super) steps: u64,
    pub(super) violation: Option<Violation>,
    pub(super) fingerprint: u64,
    pub(super) lines: String,
}

/// Runs the world of `seed`.
pub(super) fn run(profile: &Profile, seed: u64, recording: Recording) -> Outcome {
    let world = make(profile, seed, recording);
    world.run_tasks();
    world.go_on(profile.duration);
    world.calm_down();
    world.mend();
    let rest = world.now() + REST;
    while world.violation().is_none() && world.now() < rest && world.unrest().is_some() {
        world.go_on(world.now() + SECOND / 2);
    }
    if let Some(unrest) = world.unrest() {
        world.violated("settles", || unrest);
    }
    let (steps, violation) = (world.kernel().steps, world.violation());
    let (fingerprint, lines) = {
        let trace = world.trace();
        (trace.hash(), trace.lines())
    };
    world.dissolve();
    Outcome {
        seed,
        steps,
        violation,
        fingerprint,
        lines,
    }
}

/// A world in which nothing has happened yet.
fn make(profile: &Profile, seed: u64, recording: Recording) -> World {
    let mut rng = Rng::new(seed);
    let names = ["A", "B", "C", "D", "E"];
    let played = usize::try_from(rng.between(2, profile.shards)).expect("they are few");
    let shards: Vec<ShardId> = names
        .iter()
        .take(played)
        .chain([&BULK])
        .map(|name| ShardId::new(name))
        .collect();
    let gateways = rng.between(1, profile.gateways);
    let coordinators = rng.between(1, profile.coordinators);
    let subscribers = rng.between(profile.subscribers / 2, profile.subscribers);
    let first = first_topology(&mut rng, &shards);
    let world = World::new(
        profile.clone(),
        rng,
        Trace::new(recording),
        Store::new(first.clone()),
    );
    for shard in &shards {
        let life = world.kernel().process();
        world.call_it(life, shard.to_string());
        let mut server = Server::new(shard.clone(), life);
        server.found(&first);
        world.servers().insert(shard.clone(), server);
    }
    for _ in 0..gateways {
        world.start_gateway();
    }
    for _ in 0..coordinators {
        world.add_coordinator();
    }
    world.start_clients(subscribers);
    world.start_operators();
    world.start_faults();
    world
}

/// All shards admitted and everything open: how it got there is another test's matter.
fn first_topology(rng: &mut Rng, shards: &[ShardId]) -> Topology {
    let change = Change {
        generation: Generation(1),
        id: 1,
    };
    let entries: BTreeMap<_, _> = shards
        .iter()
        .map(|id| {
            let mut entry = wanted(id).entry();
            entry.incarnation = Some(Incarnation::new(&format!("{id}-1")));
            entry.admitted = Generation(1);
            (id.clone(), entry)
        })
        .collect();
    let mut states = vec![PartitionState::Stable(ShardId::new(BULK)); usize::from(Partition::COUNT)];
    for partition in partitions() {
        states[partition.index()] = PartitionState::Stable(shards[rng.index(shards.len())].clone());
    }
    Topology::new(change, entries, states)
}

impl Server {
    /// Opens what the first document gives it.
    fn found(&mut self, topology: &Topology) {
        let Some(state) = &mut self.state else { return };
        let (generation, token) = (topology.generation, Token::default());
        for partition in partitions() {
            if topology.partition(*partition).owner() == &self.id {
                let take = FenceCommand::Fresh {
                    generation,
                    token,
                    unless_open: None,
                };
                state.fence(*partition, &take);
                state.fence(*partition, &FenceCommand::Open { generation, token });
            }
        }
        state.note_admitted(generation, topology.deployment);
    }
}

impl World {
    /// Lets things happen until the given time, or until a promise is broken.
    fn go_on(&self, until: Micros) {
        while self.violation().is_none() && self.step(until) {
            self.look();
        }
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.trace().violation.clone()
    }
}
