//! `slow`: one client in ten does not read. Those are to be disconnected; the others are not to notice.

mod figures;

use futures_util::future::BoxFuture;

use super::arrivals::wait;
use super::delivery::Delivery;
use super::demand;
use super::{Figure, Scenario};
use crate::client::Order;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::{Phase, Run};
use crate::{Failure, Promise, Violation};

/// `slow`.
pub(super) struct Slow;

/// One client in so many does not read.
const ONE_IN: usize = 10;

impl Scenario for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn about(&self) -> &'static str {
        "one channel whose subscribers do not all read: one in ten is to be disconnected, the others are not to notice"
    }

    /// So many bytes that those who do not read fill what the kernel keeps for them, and the gateway's queue.
    fn defaults(&self) -> Load {
        Load {
            connections: 50,
            rate: 100.0,
            size: 16 * 1024,
            ..Load::default()
        }
    }

    fn needs_broker(&self, _: &Load) -> bool {
        true
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::connections(self.name(), load, ONE_IN)?;
        demand::publications(self.name(), load)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(slow(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures::of(outcome)
    }
}

async fn slow(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    run.phase(Phase::Setup).await?;
    let mut delivery = Delivery::gather(run, load.channels, is_slow).await?;
    let warm = run.phase(Phase::WarmUp).await?;
    publish(&mut delivery, warm, warm + load.warm_up).await?;
    tell(&delivery, || Order::Pause).await?;
    let begin = run.phase(Phase::Measure).await?;
    publish(&mut delivery, begin, begin + load.duration).await?;
    run.phase(Phase::Settle).await?;
    tell(&delivery, || Order::Resume).await?;
    expect_disconnects(run, &delivery).await;
    delivery.finish(run).await?;
    run.phase(Phase::Done).await?;
    Ok(())
}

fn is_slow(number: usize) -> bool {
    number % ONE_IN == ONE_IN - 1
}

async fn publish(
    delivery: &mut Delivery,
    from: std::time::Instant,
    to: std::time::Instant,
) -> Result<(), Failure> {
    let Delivery { publisher, feed, .. } = delivery;
    publisher.drive(feed, from, to).await
}

/// Tells those who are slow to do something.
async fn tell(delivery: &Delivery, order: impl Fn() -> Order) -> Result<(), Failure> {
    for member in delivery.swarm.members() {
        if is_slow(member.number) {
            member.order(order()).await?;
        }
    }
    Ok(())
}

/// Those who did not read find that they have been disconnected, as they read again.
async fn expect_disconnects(run: &Run, delivery: &Delivery) {
    let members = delivery.swarm.members();
    let reading = members.iter().filter(|it| !is_slow(it.number)).count();
    wait(run, || delivery.swarm.ready() <= reading).await;
    let left = delivery.swarm.ready().saturating_sub(reading);
    if left > 0 {
        let detail = format!("{left} clients that did not read are still connected");
        run.violation(Violation::new(Promise::Other, detail));
    }
}
