//! `connect`: many clients connect, at a rate or all at once, while others go on receiving.

use std::time::Duration;

use campanile_common::message::{Publication, SubscribeRequest};
use futures_util::future::BoxFuture;

use super::figures::{Figures, count, quantile};
use super::steady::{MEASURED, QUIET, Steady};
use super::{Figure, Key, Scenario, Unit, demand};
use crate::Failure;
use crate::client::{Listener, Swarm};
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::{Phase, Run};

/// `connect`.
pub(super) struct Connect;

/// Latency of those who come, from when they were meant to begin until they are connected and subscribed.
const ARRIVAL: &str = "arrival";

/// How long it took until all were there.
const STORM: &str = "storm";

/// Counter of those who came.
const ARRIVED: &str = "arrived";

/// Those who are there before.
const STEADY: Key = Key::count(
    "steady",
    "20",
    "clients that are there before and receive meanwhile",
);

impl Scenario for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn about(&self) -> &'static str {
        "many clients connect, at a rate or all at once, while others go on receiving"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 2_000,
            connect_rate: 500.0,
            ..Load::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        &[STEADY]
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::connections(self.name(), load, 1)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(connect(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures(outcome)
    }
}

async fn connect(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    let before = STEADY.value(load)?;
    run.phase(Phase::Setup).await?;
    let mut steady = Steady::gather(run, before).await?;
    let warm = run.phase(Phase::WarmUp).await?;
    steady.publish(warm, warm + load.warm_up).await?;
    let begin = run.phase(Phase::Measure).await?;
    let mut storm = Swarm::empty(run);
    let numbers = run.share().part(before..before + load.connections);
    let arrival = async {
        let rate = run.share().rate(load.connect_rate);
        storm
            .add(numbers, rate, |number| Newcomer::new(run, number))
            .await?;
        Ok(begin.elapsed())
    };
    let took = steady.publish_while(begin, arrival).await?;
    run.latency(STORM, took);
    run.phase(Phase::Settle).await?;
    storm.finish().await;
    steady.finish().await?;
    run.phase(Phase::Done).await?;
    Ok(())
}

fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    let arrived = count(outcome, ARRIVED);
    let took = quantile(outcome, STORM, 1.0);
    figures.higher("clients", took.map(|took| arrived / took), Unit::PerSecond);
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        let value = quantile(outcome, ARRIVAL, share);
        figures.lower(&format!("until subscribed {name}"), value, Unit::Seconds);
    }
    let cpu = cpu(outcome).map(|cpu| cpu / arrived.max(1.0));
    figures.lower("gateway CPU per client", cpu, Unit::Seconds);
    for (name, counter) in [
        ("attempts that failed", "connect_failed"),
        ("subscriptions refused for now", "subscribe_again"),
    ] {
        figures.neither(name, Some(count(outcome, counter)), Unit::Count);
    }
    for (name, of) in [("before", QUIET), ("meanwhile", MEASURED)] {
        let name = format!("delivery to the others p99 {name}");
        figures.lower(&name, quantile(outcome, of, 0.99), Unit::Seconds);
    }
    figures.done()
}

/// CPU seconds of those who came: what the others cost before goes on, and is not theirs.
fn cpu(outcome: &Outcome) -> Option<f64> {
    let [warm, measure, settle] = [Phase::WarmUp, Phase::Measure, Phase::Settle].map(Phase::name);
    let quiet = outcome.cpu_between("gateway", warm, measure)?;
    let quiet = quiet / outcome.between(warm, measure)?.as_secs_f64();
    let all = outcome.cpu_between("gateway", measure, settle)?;
    Some((all - quiet * outcome.measured()?.as_secs_f64()).max(0.0))
}

/// A client that comes and then does nothing.
struct Newcomer {
    run: Run,
    channel: usize,
    arrived: bool,
}

impl Newcomer {
    fn new(run: &Run, number: usize) -> Self {
        Self {
            run: run.clone(),
            // The first one is that of the others.
            channel: 1 + number % run.plan().load.channels,
            arrived: false,
        }
    }
}

impl Listener for Newcomer {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![SubscribeRequest {
            channel: self.run.channel(self.channel),
            ..SubscribeRequest::default()
        }]
    }

    fn ready(&mut self, took: Duration) {
        // Who was disconnected and came back is counted once.
        if !std::mem::replace(&mut self.arrived, true) {
            self.run.latency(ARRIVAL, took);
            self.run.count(ARRIVED, 1);
            self.run.series(ARRIVED, 1);
        }
    }

    fn delivered(&mut self, _channel: &str, _publication: &Publication) {}
}
