//! Clients that stay while others come and go: what they get is checked, and how long it takes is noted.

use std::time::{Duration, Instant};

use campanile_common::message::{Publication, SubscribeRequest};

use super::arrivals::{Arrivals, accepted};
use crate::check::{Checker, Findings, Start};
use crate::client::{Listener, Swarm};
use crate::payload::{self, Label};
use crate::publisher::{Feed, Publisher};
use crate::run::Run;
use crate::{Failure, Promise, Violation};

/// Latency of what reached those who stay before measuring began.
pub(super) const QUIET: &str = "delivery_quiet";

/// The same while measuring.
pub(super) const MEASURED: &str = "delivery";

/// The channel of those who stay; others use those behind it.
const CHANNEL: u32 = 0;

/// What is published goes on for at least so long at a time.
const SLICE: Duration = Duration::from_secs(1);

/// Clients in one channel in which publishing never stops, and whoever publishes there.
pub(super) struct Steady {
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
        swarm
            .add(numbers, rate, |_| Witness::new(run, arrived.clone()))
            .await?;
        let feed = Feed {
            channels: vec![(CHANNEL, run.channel(CHANNEL as usize).into())],
            burst: 1,
            rate: run.share().rate(run.plan().load.rate),
        };
        Ok(Self {
            swarm,
            publisher,
            feed,
            arrived,
        })
    }

    /// Publishes from `start` until `end`.
    pub(super) async fn publish(&mut self, start: Instant, end: Instant) -> Result<(), Failure> {
        self.publisher.drive(&self.feed, start, end).await
    }

    /// Publishes from `start` until `other` has ended, in whole seconds.
    pub(super) async fn publish_while<T>(
        &mut self,
        start: Instant,
        other: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut other = std::pin::pin!(other);
        let mut ended = None;
        let mut from = start;
        while ended.is_none() {
            let slice = self.publish(from, from + SLICE);
            let mut slice = std::pin::pin!(slice);
            loop {
                tokio::select! {
                    done = slice.as_mut() => break done?,
                    what = other.as_mut(), if ended.is_none() => ended = Some(what?),
                }
            }
            from += SLICE;
        }
        ended.ok_or(Failure::Interrupted)
    }

    /// Lets everybody leave, and reports what they did not get as it was promised.
    pub(super) async fn finish(self, run: &Run) -> Result<(), Failure> {
        let ledger = run.exchange(self.publisher.finish().await).await?;
        let expected = accepted(&ledger, CHANNEL) * self.swarm.members().len() as u64;
        self.arrived.wait(run, expected).await;
        for ended in self.swarm.finish().await {
            report(run, ended.number, &ended.listener.checker.finish(&ledger));
        }
        Ok(())
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

/// Reports what a client found wrong.
pub(super) fn report(run: &Run, client: usize, found: &Findings) {
    let example = found.example.as_deref().unwrap_or_default();
    for (promise, count) in [
        (Promise::NothingLost, found.lost),
        (Promise::NothingDoubled, found.doubled),
        (Promise::InOrder, found.reordered),
    ] {
        if count > 0 {
            let detail = format!("{count} of client {client}: {example}");
            run.violation(Violation::new(promise, detail));
        }
    }
}

/// A client that stays.
struct Witness {
    run: Run,
    checker: Checker,
    arrived: Arrivals,
}

impl Witness {
    fn new(run: &Run, arrived: Arrivals) -> Self {
        Self {
            run: run.clone(),
            checker: Checker::new(CHANNEL, Start::Beginning),
            arrived,
        }
    }
}

impl Listener for Witness {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![SubscribeRequest {
            channel: self.run.channel(CHANNEL as usize),
            ..SubscribeRequest::default()
        }]
    }

    fn delivered(&mut self, _channel: &str, publication: &Publication) {
        let Some(label) = payload::read(&publication.data) else {
            return;
        };
        self.arrived.follow(&mut self.checker, &label);
        delivered(&self.run, &label);
    }

    fn closed(&mut self, closed: &campanile_client::Closed) -> crate::client::Next {
        let detail = format!("a client that should stay was disconnected: {closed}");
        self.run.violation(Violation::new(Promise::Other, detail));
        crate::client::Next::Stay
    }
}
