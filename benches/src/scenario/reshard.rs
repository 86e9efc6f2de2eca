//! `reshard`: shards are added and drained under load.
//!
//! Publications go to all channels at a steady pace, half of which keep a stream. Watchers are connected all the time;
//! visitors break their connections and come back with their positions, over and over. Beside them lies ballast: streams
//! that nobody watches and that move like the others. First comes a calm while, to compare with; then a shard joins, and
//! the first one is drained.
//!
//! What is promised of planned moves: everything accepted reaches every watcher once and in order, offsets have no holes,
//! nobody is disconnected or unsubscribed, nobody is told `recovered=false`, no publication is refused, and the ballast
//! arrives whole under its old epoch.

mod ballast;
pub(super) mod figures;
pub(super) mod moving;
pub(super) mod operator;
pub(super) mod play;
pub(super) mod settle;
pub(super) mod traffic;
pub(super) mod visits;
pub(super) mod watcher;

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Figure, Key, Scenario, demand, key};
use crate::Failure;
use crate::measure::Outcome;
use crate::pace::Schedule;
use crate::plan::Load;
use crate::run::Run;
use crate::stack::StackOptions;
use operator::{ADD, DRAIN, FAULT, Fault};
use play::Play;
use watcher::Channel;

/// There and back again.
pub(super) const ROUNDS: Key = Key::count(
    "rounds",
    "1",
    "how often a shard joins and another is drained; every other time the other way round",
);
/// Those who come and go.
pub(super) const VISITORS: Key = Key::count(
    "visitors",
    "40",
    "clients that break their connections and come back, over and over",
);
/// What lies still.
pub(super) const BALLAST: Key = Key::count(
    "ballast",
    "20000",
    "streams that nobody watches and that are moved",
);
/// How much of it.
pub(super) const BALLAST_EACH: Key =
    Key::count("ballast_each", "20", "publications in each stream of the ballast");

const KEYS: &[Key] = &[ROUNDS, VISITORS, BALLAST, BALLAST_EACH, FAULT, ADD, DRAIN];

/// Channels that a visitor watches.
const VISITED: usize = 10;

/// `reshard`.
pub(super) struct Reshard;

/// Who does what among this worker's clients: publishers come first, then visitors, then watchers.
#[derive(Clone, Copy, Debug)]
struct Cast {
    /// The number of the first client.
    first: usize,
    publishers: usize,
    visitors: usize,
    watchers: usize,
}

impl Scenario for Reshard {
    fn name(&self) -> &'static str {
        "reshard"
    }

    fn about(&self) -> &'static str {
        "shards are added and drained under load"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 320,
            channels: 4_000,
            rate: 2_000.0,
            publishers: 16,
            duration: Duration::from_secs(5),
            options: key::defaults(KEYS),
            ..Load::default()
        }
    }

    fn stack(&self) -> StackOptions {
        StackOptions {
            shards: 3,
            spares: 1,
            gateways: 2,
            ..StackOptions::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        Fault::of(load)?;
        operator::joining(load)?;
        demand::publications(self.name(), load)?;
        demand::at_least_one(self.name(), ROUNDS, load)?;
        let others = load.publishers + VISITORS.value::<usize>(load)?;
        if load.connections <= others {
            return Err(Failure::usage(format!(
                "--connections {}: {others} of them publish and come and go, and somebody has to watch",
                load.connections
            )));
        }
        Ok(())
    }

    fn needs_broker(&self, _: &Load) -> bool {
        true
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(carry_out(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures::figures(outcome)
    }
}

async fn carry_out(run: &Run) -> Result<(), Failure> {
    let channels = channels(run);
    let cast = Cast::of(run)?;
    let own = channels[run.share().range(channels.len())].to_vec();
    let (seed, load) = (run.plan().seed, &run.plan().load);
    let play = Play {
        part: Box::new(move |client| cast.part(client, &channels, seed)),
        visitors: cast.visitors,
        feeds: vec![(own, Schedule::new(load.rate, load.burst).part(run.share()))],
        more: Vec::new(),
    };
    play::carry_out(run, play).await.map(drop)
}

/// Every other one keeps a stream.
fn channels(run: &Run) -> Vec<Channel> {
    let indices = 0..u32::try_from(run.plan().load.channels).unwrap_or(u32::MAX);
    indices
        .map(|index| Channel::new(run, index, index % 2 == 0))
        .collect()
}

impl Cast {
    fn of(run: &Run) -> Result<Self, Failure> {
        let load = &run.plan().load;
        let own = run.share().range(load.connections);
        let visitors = run.share().range(VISITORS.value(load)?).len();
        let publishers = load.publishers;
        let watchers = own.len().saturating_sub(publishers + visitors);
        if watchers == 0 {
            return Err(Failure::usage(
                "more --connections are needed, so that each worker has some that watch",
            ));
        }
        Ok(Self {
            first: own.start,
            publishers,
            visitors,
            watchers,
        })
    }

    /// What the client of this number watches. The watchers of each worker watch every channel together; visitors some
    /// streams, chosen by the seed.
    fn part(&self, number: usize, channels: &[Channel], seed: u64) -> Vec<Channel> {
        let index = number - self.first;
        if index < self.publishers {
            return Vec::new();
        }
        if index < self.publishers + self.visitors {
            let first = usize::try_from(seed)
                .unwrap_or(0)
                .wrapping_add(number.wrapping_mul(7919));
            let streams: Vec<_> = channels.iter().filter(|channel| channel.stream).collect();
            let count = VISITED.min(streams.len());
            return (0..count)
                .map(|step| streams[first.wrapping_add(step) % streams.len()].clone())
                .collect();
        }
        let watcher = index - self.publishers - self.visitors;
        channels
            .iter()
            .skip(watcher)
            .step_by(self.watchers)
            .cloned()
            .collect()
    }
}
