//! `mixed`: a bit of everything at once.
//!
//! One channel that everybody watches, rooms of ten, a private channel for each client, streams; published through the API
//! and by clients; clients that come and go; history and presence that are read; and in the middle of it a shard joins and
//! another is drained. Each part is checked as in its own scenario.

mod reads;
mod through_api;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::reshard::operator::{self, ADD, DRAIN, FAULT, Fault};
use super::reshard::play::{self, Play};
use super::reshard::watcher::Channel;
use super::reshard::{BALLAST, BALLAST_EACH, ROUNDS, VISITORS, figures};
use super::{Figure, Key, Scenario, demand, key};
use crate::Failure;
use crate::measure::Outcome;
use crate::pace::Schedule;
use crate::plan::Load;
use crate::run::Run;
use crate::stack::StackOptions;

/// Clients in a room.
const ROOM: usize = 10;
/// Streams that a visitor watches.
const VISITED: usize = 5;

/// What everybody watches.
const EVERYBODY_RATE: Key = Key::count(
    "everybody_rate",
    "5",
    "publications a second in the channel that everybody watches",
);
/// What is read.
const READS: Key = Key::count(
    "reads",
    "50",
    "pages of history and lists of presence that are read a second",
);

/// Those of `reshard` with defaults of their own, and two more.
const KEYS: &[Key] = &[
    ROUNDS,
    Key {
        default: "100",
        ..VISITORS
    },
    Key {
        default: "5000",
        ..BALLAST
    },
    Key {
        default: "10",
        ..BALLAST_EACH
    },
    EVERYBODY_RATE,
    READS,
    FAULT,
    ADD,
    DRAIN,
];

/// `mixed`.
pub(super) struct Mixed;

/// The channels of a run, by what they are for.
struct Channels {
    everybody: Channel,
    rooms: Vec<Channel>,
    private: Vec<Channel>,
    streams: Vec<Channel>,
}

impl Scenario for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn about(&self) -> &'static str {
        "fan-out, rooms, private channels, streams, churn, recoveries, reads, and shards that come and go, all at once"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 1_000,
            channels: 500,
            rate: 1_000.0,
            publishers: 16,
            duration: Duration::from_secs(5),
            options: key::defaults(KEYS),
            ..Load::default()
        }
    }

    /// The streams, and what is beside them: a private channel for each client, its rooms, and that of everybody.
    fn channels(&self, load: &Load) -> usize {
        load.channels + load.connections + load.connections.div_ceil(ROOM) + 1
    }

    fn stack(&self) -> StackOptions {
        StackOptions {
            shards: 3,
            spares: 1,
            gateways: 2,
            presence: true,
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
        let mut figures = figures::figures(outcome);
        figures.extend(reads::figures(outcome));
        figures
    }
}

async fn carry_out(run: &Run) -> Result<(), Failure> {
    let channels = Arc::new(Channels::of(run));
    let ledger = play::carry_out(run, play(run, &channels)?).await?;
    reads::read_again(run, &channels.streams, &ledger).await
}

/// This worker's part.
fn play(run: &Run, channels: &Arc<Channels>) -> Result<Play, Failure> {
    let (load, share) = (&run.plan().load, run.share());
    let own = |channels: &[Channel]| channels[share.range(channels.len())].to_vec();
    let part = |of: f64| Schedule::new(load.rate * of, load.burst).part(share);
    let everybody = (share.index == 0).then(|| channels.everybody.clone());
    let to_everybody = Schedule::new(EVERYBODY_RATE.value(load)?, load.burst);
    let feeds = vec![
        (everybody.into_iter().collect(), to_everybody),
        (own(&channels.private), part(0.2)),
        (own(&channels.streams), part(0.5)),
    ];
    let rooms_part = part(0.3);
    let reads = share.range(READS.value(load)?).len();
    let (rooms, seen) = (own(&channels.rooms), Arc::clone(channels));
    let first = share.range(load.connections).start;
    let visitors = share.range(VISITORS.value(load)?).len();
    let (publishers, watched) = (load.publishers, Arc::clone(channels));
    Ok(Play {
        visitors,
        feeds,
        more: vec![
            Box::new(move |run, stop| through_api::publish(run, rooms, rooms_part, stop)),
            Box::new(move |run, stop| reads::read(run, seen, reads, stop)),
        ],
        part: Box::new(move |client| match client - first {
            index if index < publishers => Vec::new(),
            index => watched.part(client, index < publishers + visitors),
        }),
    })
}

impl Channels {
    fn of(run: &Run) -> Self {
        let load = &run.plan().load;
        // Behind the ballast's, whose indices follow those of the plan's channels.
        let mut next = load.channels + BALLAST.value(load).unwrap_or(0);
        let mut some = |count: usize| {
            let indices = next..next + count;
            next += count;
            let channel = |index| Channel::new(run, u32::try_from(index).unwrap_or(u32::MAX), false);
            indices.map(channel).collect::<Vec<_>>()
        };
        let everybody = some(1).remove(0);
        let rooms = some(load.connections.div_ceil(ROOM));
        let private = some(load.connections);
        let streams = 0..u32::try_from(load.channels).unwrap_or(u32::MAX);
        Self {
            everybody,
            rooms,
            private,
            streams: streams.map(|index| Channel::new(run, index, true)).collect(),
        }
    }

    /// What a client watches.
    fn part(&self, client: usize, visits: bool) -> Vec<Channel> {
        let count = if visits { VISITED } else { 1 }.min(self.streams.len());
        let stream = |step: usize| self.streams[(client + step * 97) % self.streams.len()].clone();
        let mut part: Vec<_> = (0..count).map(stream).collect();
        part.dedup_by_key(|channel| channel.index);
        part.push(self.everybody.clone());
        part.push(self.rooms[client / ROOM].clone());
        part.push(self.private[client].clone());
        part
    }
}
