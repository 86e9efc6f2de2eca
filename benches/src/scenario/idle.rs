//! `idle`: connections that do nothing: memory of each, and what pinging them costs.
//!
//! The first few are not weighed: what a server makes once, and what its allocator holds in reserve, is theirs. The others come
//! in two steps, so that it shows whether memory grows in proportion.

mod figures;
mod kernel;

use std::ops::Range;

use campanile_client::Closed;
use campanile_common::message::{Publication, SubscribeRequest};
use futures_util::future::BoxFuture;

use super::{Figure, Key, Scenario};
use crate::client::{Listener, Next, Swarm};
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::{Phase, Run};
use crate::{Failure, Promise, Violation};

/// `idle`.
pub(super) struct Idle;

/// The marks at which memory is looked at, and which part of all connections there is then.
const STEPS: [(&str, usize); 3] = [("a_fifteenth", 15), ("a_third", 3), ("all", 1)];

/// Subscriptions of each connection.
const SUBSCRIPTIONS: Key = Key::count(
    "subscriptions",
    "1",
    "channels that each connection subscribes to",
);

/// The mark at which all of them have gone again.
const GONE: &str = "gone";

impl Scenario for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn about(&self) -> &'static str {
        "connections that do nothing: memory of each, and what pinging them costs"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 1_500,
            rate: 0.0,
            ..Load::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        &[SUBSCRIPTIONS]
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        if load.connections < STEPS[0].1 {
            return Err(Failure::usage(format!(
                "idle: at least {} connections",
                STEPS[0].1
            )));
        }
        Ok(())
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(idle(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures::of(outcome)
    }
}

/// Subscriptions of each connection.
fn subscriptions(load: &Load) -> Result<usize, Failure> {
    SUBSCRIPTIONS.value(load)
}

/// How many connections there are at a step.
fn count_at(load: &Load, step: usize) -> usize {
    load.connections / STEPS[step].1
}

async fn idle(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    let each = subscriptions(load)?;
    run.phase(Phase::Setup).await?;
    let mut swarm = Swarm::empty(run);
    let mut before = 0;
    let kernel = kernel::Account::open(run);
    for (step, (mark, _)) in STEPS.iter().enumerate() {
        let count = count_at(load, step);
        let numbers = run.share().part(before..count);
        let rate = run.share().rate(load.connect_rate);
        swarm
            .add(numbers, rate, |number| Sleeper::new(run, number, each))
            .await?;
        // Until buffers of handshakes have been put away.
        tokio::time::sleep(load.warm_up).await;
        run.mark(mark).await?;
        kernel.note(step);
        before = count;
    }
    let begin = run.phase(Phase::Measure).await?;
    tokio::time::sleep_until((begin + load.duration).into()).await;
    run.phase(Phase::Settle).await?;
    swarm.finish().await;
    tokio::time::sleep(load.warm_up).await;
    run.mark(GONE).await?;
    run.phase(Phase::Done).await?;
    Ok(())
}

/// A client that does nothing but what it must.
struct Sleeper {
    run: Run,
    channels: Range<usize>,
}

impl Sleeper {
    fn new(run: &Run, number: usize, each: usize) -> Self {
        Self {
            run: run.clone(),
            channels: number * each..(number + 1) * each,
        }
    }
}

impl Listener for Sleeper {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        let of = self.run.plan().load.channels;
        let request = |index: usize| SubscribeRequest {
            channel: self.run.channel(index % of),
            ..SubscribeRequest::default()
        };
        self.channels.clone().map(request).collect()
    }

    fn delivered(&mut self, _channel: &str, _publication: &Publication) {}

    fn closed(&mut self, closed: &Closed) -> Next {
        let detail = format!("an idle client was disconnected: {closed}");
        self.run.violation(Violation::new(Promise::Other, detail));
        Next::Stay
    }
}
