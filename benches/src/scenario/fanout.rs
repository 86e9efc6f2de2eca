//! `fanout`: one channel with many subscribers.

use std::time::Duration;

use campanile_common::message::{Publication, SubscribeRequest};
use futures_util::future::BoxFuture;

use super::{Better, Figure, Scenario, Unit};
use crate::check::{Checker, Start};
use crate::client::{Listener, Swarm};
use crate::measure::Outcome;
use crate::payload;
use crate::plan::Load;
use crate::publisher::{Feed, Publisher};
use crate::run::{Phase, Run};
use crate::{Failure, Promise, Violation};

/// `fanout`.
pub(super) struct Fanout;

impl Scenario for Fanout {
    fn name(&self) -> &'static str {
        "fanout"
    }

    fn about(&self) -> &'static str {
        "one channel with many subscribers"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 1_000,
            rate: 20.0,
            ..Load::default()
        }
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(fan_out(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        let mut figures = Vec::new();
        let mut add = |name: &str, value: Option<f64>, unit, better| {
            figures.extend(value.map(|value| Figure::new(name, value, unit, better)));
        };
        let seconds = outcome.measured().map(|it| it.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "exact for 2^53 deliveries")]
        let deliveries = outcome.counter("deliveries") as f64;
        add(
            "deliveries",
            seconds.map(|it| deliveries / it),
            Unit::PerSecond,
            Better::Higher,
        );
        let latency = outcome.histogram("delivery");
        for (name, quantile) in [("delivery p50", 0.5), ("delivery p99", 0.99)] {
            let value = latency.map(|it| it.quantile(quantile).as_secs_f64());
            add(name, value, Unit::Seconds, Better::Lower);
        }
        let cpu = outcome.cpu("gateway").map(|it| it / deliveries.max(1.0));
        add("gateway CPU per delivery", cpu, Unit::Seconds, Better::Lower);
        figures
    }
}

async fn fan_out(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    let mut publisher = Publisher::connect(run).await?;
    run.phase(Phase::Setup).await?;
    let swarm = Swarm::connect(run, |number| Subscriber::new(run, number)).await?;
    let feed = Feed::of(run);
    let warm = run.phase(Phase::WarmUp).await?;
    publisher.drive(&feed, warm, warm + load.warm_up).await?;
    let begin = run.phase(Phase::Measure).await?;
    publisher.drive(&feed, begin, begin + load.duration).await?;
    run.phase(Phase::Settle).await?;
    let ledger = run.exchange(publisher.finish().await).await?;
    // What was accepted is on its way; clients that are told to leave read what has arrived first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for ended in swarm.finish().await {
        let found = ended.listener.checker.finish(&ledger);
        let example = found.example.unwrap_or_default();
        let detail = format!("client {}: {example}", ended.number);
        for (kind, count) in [
            (Promise::NothingLost, found.lost),
            (Promise::NothingDoubled, found.doubled),
            (Promise::InOrder, found.reordered),
        ] {
            if count > 0 {
                run.violation(Violation::new(kind, format!("{count}: {detail}")));
            }
        }
    }
    run.phase(Phase::Done).await?;
    Ok(())
}

/// One subscriber.
struct Subscriber {
    run: Run,
    channel: u32,
    checker: Checker,
}

impl Subscriber {
    fn new(run: &Run, number: usize) -> Self {
        let channel = u32::try_from(number % run.plan().load.channels).unwrap_or_default();
        Self {
            run: run.clone(),
            channel,
            checker: Checker::new(channel, Start::Beginning),
        }
    }
}

impl Listener for Subscriber {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![SubscribeRequest {
            channel: self.run.channel(self.channel as usize),
            ..SubscribeRequest::default()
        }]
    }

    fn delivered(&mut self, _channel: &str, publication: &Publication) {
        let Some(label) = payload::read(&publication.data) else {
            return;
        };
        self.checker.arrived(&label);
        self.run.count("deliveries", 1);
        self.run.series("deliveries", 1);
        if self.run.measures(label.intended) {
            self.run
                .latency("delivery", self.run.clock().now().since(label.intended));
        }
    }
}
