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

use self::resp::apart;
use self::template::{Monitor, Template};
use super::arrivals::Arrivals;
use super::{Figure, Key, Scenario};
use crate::Failure;
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

async fn carry_out(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    run.phase(Phase::Setup).await?;
    let read = channels_read(load)?;
    let arrived = Arrivals::default();
    let readers = listeners::read(run, read, &arrived).await?;
    let mut publisher = Publisher::connect(run).await?;
    let feed = Feed::of(run);
    let address = reference_address(run)?;
    let template = match &address {
        Some(address) => Some(watch(run, address).await?),
        None => None,
    };
    // Everything that a channel's first publication makes is made before it is measured what the others cost.
    for index in run.share().range(feed.channels.len()) {
        let (channel, name) = &feed.channels[index];
        publisher.publish(*channel, name, run.clock().now()).await?;
    }

    let begin = run.phase(Phase::WarmUp).await?;
    drive(run, &mut publisher, &feed, (begin, begin + load.warm_up)).await?;
    let begin = run.phase(Phase::Measure).await?;
    let window = (begin, begin + load.duration);
    let bare = address.clone().filter(|_| load.rate > 0.0);
    let trips = async {
        match bare {
            Some(address) => trips::measure(run, address, load.rate, window).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(drive(run, &mut publisher, &feed, window), trips)?;
    run.phase(Phase::Settle).await?;

    let ledger = run.exchange(publisher.finish().await).await?;
    let of = |index| ledger.accepted_in(u32::try_from(index).unwrap_or(u32::MAX));
    let expected = run.share().range(read).map(of).sum();
    arrived.wait(run, expected).await;
    for ended in readers.finish().await {
        ended.listener.finish(&ledger);
    }
    if load.stream {
        listeners::audit(run, &ledger).await?;
    }
    let reference = match (address, template) {
        (Some(address), Some(template)) => Some((address, found(template).await?)),
        _ => None,
    };
    reference::measure(run, reference).await?;
    run.phase(Phase::Done).await.map(drop)
}

/// Publishes within this time: at the plan's rate, or as fast as it is answered.
async fn drive(
    run: &Run,
    publisher: &mut Publisher,
    feed: &Feed,
    (start, end): (Instant, Instant),
) -> Result<(), Failure> {
    if feed.rate > 0.0 {
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
async fn watch(run: &Run, address: &str) -> Result<JoinHandle<Result<Template, Failure>>, Failure> {
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

async fn found(watching: JoinHandle<Result<Template, Failure>>) -> Result<Template, Failure> {
    let ended = watching.await;
    ended.unwrap_or_else(|error| Err(Failure::run(error.to_string())))
}
