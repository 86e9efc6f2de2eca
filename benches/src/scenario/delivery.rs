//! What `fanout`, `rooms`, `private` and `slow` have in common: clients that listen to one channel each, and get everything
//! that is published there once and in order.

mod figures;
mod subscriber;

use super::arrivals::Arrivals;
use super::broken::report;
use crate::Failure;
use crate::client::Swarm;
use crate::publisher::{Feed, Publisher};
use crate::run::{Phase, Run};
pub(super) use figures::figures;
pub(super) use subscriber::{CUT, OTHERWISE, Subscriber, TOLD};

/// Subscribers of `channels` channels, in turns, and whoever publishes there.
pub(super) struct Delivery {
    pub(super) swarm: Swarm<Subscriber>,
    pub(super) publisher: Publisher,
    pub(super) feed: Feed,
    /// What has arrived at those who read.
    arrived: Arrivals,
    slow: fn(usize) -> bool,
}

impl Delivery {
    /// Connects this worker's share of the clients; those whose number is `slow` will not read.
    pub(super) async fn gather(run: &Run, channels: usize, slow: fn(usize) -> bool) -> Result<Self, Failure> {
        let publisher = Publisher::connect(run).await?;
        let arrived = Arrivals::default();
        let subscriber =
            |number: usize| Subscriber::new(run, number % channels, (!slow(number)).then_some(&arrived));
        let swarm = Swarm::connect(run, subscriber).await?;
        Ok(Self {
            swarm,
            publisher,
            feed: Feed::to(run, channels),
            arrived,
            slow,
        })
    }

    /// Waits until everything that was accepted has arrived, or as long as the plan says; then lets everybody leave, and
    /// reports what they did not get as it was promised.
    pub(super) async fn finish(self, run: &Run) -> Result<(), Failure> {
        let ledger = run.exchange(self.publisher.finish().await).await?;
        let channels = self.feed.channels.len();
        let expected =
            |number: usize| u32::try_from(number % channels).map_or(0, |it| ledger.accepted_in(it));
        let members = self.swarm.members().iter().map(|it| it.number);
        let expected = members.filter(|it| !(self.slow)(*it)).map(expected).sum();
        self.arrived.wait(run, expected).await;
        for ended in self.swarm.finish().await {
            let stayed = ended.closed.is_none();
            let found = ended.listener.findings(&ledger, stayed);
            report(run, format_args!("client {}", ended.number), &found);
        }
        Ok(())
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
