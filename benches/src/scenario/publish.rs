//! `publish`: publications through the shards, with hardly anybody listening.
//!
//! With a rate it is an open loop, and says how long publications take; with the rate 0 each connection has its window
//! always full, and the run says how many there can be. Whoever reads a channel checks that everything arrives once and in
//! order, with offsets that are dense; in the end the top of each stream is compared with how many were accepted.
//!
//! In the same run, on the first shard: what the server does with the gateway's very command when nobody is between
//! ([`mod@reference`]), and how long a bare message takes to come back, in the same seconds and at the same rate ([`trips`]).

mod figures;
mod listeners;
mod reference;
mod resp;
mod template;
mod trips;

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use self::listeners::Reader;
use self::resp::apart;
use self::template::{Monitor, Template};
use super::arrivals::Arrivals;
use super::{Figure, Key, Scenario};
use crate::Failure;
use crate::client::Swarm;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::publisher::{Feed, Publisher};
use crate::run::{Phase, Run};

/// `publish`.
pub(super) struct Publish;

/// Publications between two looks at the clock.
const AT_ONCE: usize = 64;

/// Channels that are read: all of them, up to here, with a rate of their own, and few where the rate is what is looked
/// for, because reading costs as much as publishing.
const READ: usize = 10_000;
const READ_UNDER_PRESSURE: usize = 10;

/// Channels that are read.
const READ_CHANNELS: Key = Key::count(
    "read",
    "",
    "channels that are read and checked; by default 10,000 with a --rate, and 10 without",
);

/// Whether the references run.
const REFERENCE: Key = Key::truth(
    "reference",
    "true",
    "whether the first shard is also measured without a gateway, where it is known",
);

impl Scenario for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn about(&self) -> &'static str {
        "publications through the shards, with hardly anybody listening; --rate 0: as many as there can be"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 0,
            channels: 1_000,
            rate: 0.0,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            stream: true,
            publishers: 8,
            batch: 256,
            ..Load::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        &[READ_CHANNELS, REFERENCE]
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(carry_out(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures::figures(outcome)
    }
}

/// What a worker publishes with, and who listens.
struct Stage {
    readers: Swarm<Reader>,
    /// How many channels they read, all workers' together.
    read: usize,
    arrived: Arrivals,
    publisher: Publisher,
    feed: Feed,
}

/// What a run is compared with, in the worker that sees to it: the first shard, and the publishing command as it will be
/// seen there.
struct Beside {
    address: String,
    template: JoinHandle<Result<Option<Template>, Failure>>,
}

async fn carry_out(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    run.phase(Phase::Setup).await?;
    let mut stage = Stage::set_up(run).await?;
    let beside = Beside::set_up(run).await?;
    stage.begin(run).await?;
    let begin = run.phase(Phase::WarmUp).await?;
    stage.drive(run, (begin, begin + load.warm_up)).await?;
    let begin = run.phase(Phase::Measure).await?;
    let window = (begin, begin + load.duration);
    let trips = async {
        match &beside {
            Some(beside) if load.rate > 0.0 => {
                trips::measure(run, beside.address.clone(), load.rate, window).await
            }
            _ => Ok(()),
        }
    };
    tokio::try_join!(stage.drive(run, window), trips)?;
    run.phase(Phase::Settle).await?;
    stage.finish(run).await?;
    let reference = match beside {
        Some(beside) => Some((beside.address, found(beside.template).await?)),
        None => None,
    };
    reference::measure(run, reference).await?;
    run.phase(Phase::Done).await.map(drop)
}

impl Stage {
    async fn set_up(run: &Run) -> Result<Self, Failure> {
        let read = channels_read(&run.plan().load)?;
        let arrived = Arrivals::default();
        Ok(Self {
            readers: listeners::read(run, read, &arrived).await?,
            read,
            arrived,
            publisher: Publisher::connect(run).await?,
            feed: Feed::of(run),
        })
    }

    /// Publishes once to every channel: what a channel's first publication makes is made before it is measured what the
    /// others cost.
    async fn begin(&mut self, run: &Run) -> Result<(), Failure> {
        for index in run.share().range(self.feed.channels.len()) {
            let (channel, name) = &self.feed.channels[index];
            self.publisher.publish(*channel, name, run.clock().now()).await?;
        }
        Ok(())
    }

    async fn drive(&mut self, run: &Run, window: (Instant, Instant)) -> Result<(), Failure> {
        drive(run, &mut self.publisher, &self.feed, window).await
    }

    /// Waits for what was accepted, and reports what did not arrive as it was promised.
    async fn finish(self, run: &Run) -> Result<(), Failure> {
        let ledger = run.exchange(self.publisher.finish().await).await?;
        let of = |index| ledger.accepted_in(u32::try_from(index).unwrap_or(u32::MAX));
        let expected = run.share().range(self.read).map(of).sum();
        self.arrived.wait(run, expected).await;
        for ended in self.readers.finish().await {
            ended.listener.finish(&ledger);
        }
        if run.plan().load.stream {
            listeners::audit(run, &ledger).await?;
        }
        Ok(())
    }
}

impl Beside {
    async fn set_up(run: &Run) -> Result<Option<Self>, Failure> {
        let Some(address) = reference_address(run)? else {
            return Ok(None);
        };
        let template = watch(run, &address).await?;
        Ok(Some(Self { address, template }))
    }
}

/// Publishes within this time: at the plan's rate, or as fast as it is answered.
async fn drive(
    run: &Run,
    publisher: &mut Publisher,
    feed: &Feed,
    (start, end): (Instant, Instant),
) -> Result<(), Failure> {
    if feed.schedule.has_events() {
        return publisher.drive(feed, start, end).await;
    }
    let mut turns = feed.channels.iter().cycle();
    while Instant::now() < end {
        for (channel, name) in turns.by_ref().take(AT_ONCE) {
            publisher.publish(*channel, name, run.clock().now()).await?;
        }
    }
    Ok(())
}

fn channels_read(load: &Load) -> Result<usize, Failure> {
    let most = if load.rate > 0.0 {
        READ
    } else {
        READ_UNDER_PRESSURE
    };
    let wanted = READ_CHANNELS.given(load)?.unwrap_or(most);
    Ok(wanted.min(load.channels))
}

/// The shard on which the references run, for the worker that runs them.
fn reference_address(run: &Run) -> Result<Option<String>, Failure> {
    let wanted = REFERENCE.value(&run.plan().load)?;
    let shard = run
        .target()
        .shards
        .first()
        .filter(|_| wanted && run.share().index == 0);
    Ok(shard.and_then(resp::address).map(str::to_owned))
}

/// Begins to wait for the first publication that the shard sees.
async fn watch(run: &Run, address: &str) -> Result<JoinHandle<Result<Option<Template>, Failure>>, Failure> {
    let address = address.to_owned();
    let name = run.channel(0);
    let prefix = name.trim_end_matches('0').to_owned();
    let monitor = apart("watching the first shard", move || {
        Monitor::start(&address, prefix)
    })
    .await?;
    Ok(tokio::spawn(apart("watching the first shard", move || {
        monitor.find()
    })))
}

/// The command, if the shard has seen one.
async fn found(watching: JoinHandle<Result<Option<Template>, Failure>>) -> Result<Option<Template>, Failure> {
    let ended = watching.await;
    ended.unwrap_or_else(|error| Err(Failure::run(error.to_string())))
}
