//! What `fanout`, `rooms`, `private` and `slow` have in common: clients that listen to one channel each, and get everything
//! that is published there once and in order.

mod figures;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::steady::report;
use crate::Failure;
use crate::check::Ledger;
use crate::client::Swarm;
use crate::publisher::{Feed, Publisher};
use crate::run::{Phase, Run};
pub(super) use figures::figures;
pub(super) use subscriber::{MEASURED, QUIET, Subscriber};

/// How often it is looked whether everything has arrived.
const LOOK: Duration = Duration::from_millis(20);

/// Subscribers of `channels` channels, in turns, and whoever publishes there.
pub(super) struct Delivery {
    pub(super) swarm: Swarm<Subscriber>,
    pub(super) publisher: Publisher,
    pub(super) feed: Feed,
    /// What has arrived at those of whom it is promised.
    arrived: Arc<AtomicU64>,
}

impl Delivery {
    /// Connects this worker's share of the clients; those whose number is `slow` will not read.
    pub(super) async fn gather(
        run: &Run,
        channels: usize,
        slow: impl Fn(usize) -> bool,
    ) -> Result<Self, Failure> {
        let publisher = Publisher::connect(run).await?;
        let arrived = Arc::new(AtomicU64::new(0));
        let subscriber = |number: usize| {
            let channel = u32::try_from(number % channels).unwrap_or_default();
            Subscriber::new(run, channel, (!slow(number)).then(|| Arc::clone(&arrived)))
        };
        let swarm = Swarm::connect(run, subscriber).await?;
        Ok(Self {
            swarm,
            publisher,
            feed: feed(run, channels),
            arrived,
        })
    }

    /// Waits until everything that was accepted has arrived, or as long as the plan says; then lets everybody leave, and
    /// reports what they did not get as it was promised.
    pub(super) async fn finish(self, run: &Run) -> Result<(), Failure> {
        let ledger = run.exchange(self.publisher.finish().await).await?;
        let channels = self.feed.channels.len();
        let expected = |number: usize| u32::try_from(number % channels).map_or(0, |it| accepted(&ledger, it));
        let numbers = run.share().range(run.plan().load.connections);
        let expected = numbers.map(expected).sum();
        let arrived = self.arrived;
        wait(run, || arrived.load(Ordering::Relaxed) >= expected).await;
        for ended in self.swarm.finish().await {
            let stayed = ended.closed.is_none();
            report(run, ended.number, &ended.listener.findings(&ledger, stayed));
        }
        Ok(())
    }
}

/// Waits until `done`, or as long as the plan lets stragglers take.
pub(super) async fn wait(run: &Run, done: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + run.plan().load.settle;
    while !done() && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
}

/// Listens to so many channels, and publishes to them as the plan says.
pub(super) async fn deliver(run: &Run, channels: usize) -> Result<(), Failure> {
    let load = &run.plan().load;
    run.phase(Phase::Setup).await?;
    let mut delivery = Delivery::gather(run, channels, |_| false).await?;
    let Delivery { publisher, feed, .. } = &mut delivery;
    let warm = run.phase(Phase::WarmUp).await?;
    publisher.drive(feed, warm, warm + load.warm_up).await?;
    let begin = run.phase(Phase::Measure).await?;
    publisher.drive(feed, begin, begin + load.duration).await?;
    run.phase(Phase::Settle).await?;
    delivery.finish(run).await?;
    run.phase(Phase::Done).await?;
    Ok(())
}

fn feed(run: &Run, channels: usize) -> Feed {
    let load = &run.plan().load;
    let count = u32::try_from(channels).unwrap_or(u32::MAX);
    Feed {
        channels: (0..count)
            .map(|index| (index, run.channel(index as usize).into()))
            .collect(),
        rate: run.share().rate(load.rate),
        burst: load.burst,
    }
}

/// How many publications of a channel must arrive.
fn accepted(ledger: &Ledger, channel: u32) -> u64 {
    let entries = ledger.channel(channel);
    entries
        .map(|(_, entry)| entry.last.saturating_sub(entry.doubtful.len() as u64))
        .sum()
}
