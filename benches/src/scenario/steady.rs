//! Clients that stay while others come and go: what they get is checked, and how long it takes is noted.

use std::time::{Duration, Instant};

use campanile_client::Closed;
use campanile_common::message::{Publication, SubscribeRequest};
use tokio::time::sleep_until;

use super::arrivals::Arrivals;
use super::broken::report;
use super::one_channel::OneChannel;
use crate::check::{Ledger, Start};
use crate::client::{Listener, Next, Swarm};
use crate::pace::Schedule;
use crate::payload::Label;
use crate::publisher::{Feed, Publisher};
use crate::run::Run;
use crate::{Failure, Promise, Violation};

/// Latency of what reached those who stay before measuring began.
pub(super) const QUIET: &str = "delivery_quiet";

/// The same while measuring.
pub(super) const MEASURED: &str = "delivery";

/// The channel of those who stay; others use those behind it.
pub(super) const CHANNEL: u32 = 0;

/// What is published goes on for at least so long, so that there is something to tell percentiles of.
const LEAST: Duration = Duration::from_secs(1);

/// Clients in one channel in which publishing never stops, and whoever publishes there.
pub(super) struct Steady {
    run: Run,
    swarm: Swarm<Witness>,
    publisher: Publisher,
    feed: Feed,
    arrived: Arrivals,
}

impl Steady {
    /// Connects this worker's share of `count` clients, those with the first numbers.
    pub(super) async fn gather(run: &Run, count: usize) -> Result<Self, Failure> {
        let publisher = Publisher::connect(run).await?;
        let mut swarm = Swarm::empty(run);
        let arrived = Arrivals::default();
        let (numbers, rate) = (run.share().range(count), run.share().rate(COMFORTABLE));
        swarm.add(numbers, rate, |_| Witness::new(run, &arrived)).await?;
        Ok(Self {
            run: run.clone(),
            swarm,
            publisher,
            feed: Feed {
                schedule: Schedule::new(run.plan().load.rate, 1).part(run.share()),
                ..Feed::to(run, CHANNEL as usize + 1)
            },
            arrived,
        })
    }

    /// Publishes from `start` until `end`.
    pub(super) async fn publish(&mut self, start: Instant, end: Instant) -> Result<(), Failure> {
        self.publisher.drive(&self.feed, start, end).await
    }

    /// Publishes from `start` until `other` has ended.
    pub(super) async fn publish_while<T>(
        &mut self,
        start: Instant,
        other: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let other = async {
            let done = other.await?;
            sleep_until((start + LEAST).into()).await;
            Ok(done)
        };
        self.publisher.drive_while(&self.feed, start, other).await
    }

    /// Lets everybody leave, and reports what they did not get as it was promised; what was published.
    pub(super) async fn finish(self) -> Result<Ledger, Failure> {
        let run = &self.run;
        let ledger = run.exchange(self.publisher.finish().await).await?;
        let expected = ledger.accepted_in(CHANNEL) * self.swarm.members().len() as u64;
        self.arrived.wait(run, expected).await;
        for ended in self.swarm.finish().await {
            let found = ended.listener.channel.into_checker().finish(&ledger);
            report(run, format_args!("client {}", ended.number), &found);
        }
        Ok(ledger)
    }
}

/// Clients that begin to connect, a second, where the pace does not matter.
pub(super) const COMFORTABLE: f64 = 1_000.0;

/// Counts a publication that arrived, and notes how long that took.
pub(super) fn delivered(run: &Run, label: &Label) {
    run.count("deliveries", 1);
    run.series("deliveries", 1);
    let name = if run.measures(label.intended) {
        MEASURED
    } else {
        QUIET
    };
    run.latency(name, run.clock().now().since(label.intended));
}

/// A client that stays.
struct Witness {
    run: Run,
    channel: OneChannel,
}

impl Witness {
    fn new(run: &Run, arrived: &Arrivals) -> Self {
        let channel = OneChannel::new(run, CHANNEL as usize, Start::Beginning);
        Self {
            run: run.clone(),
            channel: channel.counted_in(arrived),
        }
    }
}

impl Listener for Witness {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![self.channel.subscription()]
    }

    fn delivered(&mut self, channel: &str, publication: &Publication) {
        if let Some(label) = self.channel.take(channel, publication) {
            delivered(&self.run, &label);
        }
    }

    fn closed(&mut self, closed: &Closed) -> Next {
        let detail = format!("a client that should stay was disconnected: {closed}");
        self.run.violation(Violation::new(Promise::Other, detail));
        Next::Stay
    }
}
