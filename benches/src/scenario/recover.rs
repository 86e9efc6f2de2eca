//! `recover`: all clients lose their connections and come back at once while publishing goes on.
//!
//! Beside those who return there are witnesses, who stay: half of them in channels of their own, half in channels that the
//! others come back to. Those channels stay subscribed on the gateway throughout; the rest it has let go of when the clients
//! return. What witnesses see says what the storm does to those who have no part in it. They and the publisher have a thread
//! of their own, so that this program's own work for the storm does not count as the server's.
//!
//! A client is whole when its subscription has been answered and everything has arrived that was meant to be published before
//! the return began. Who is told that something is missing, although no more was missed than can be recovered, has found a
//! broken promise; whoever has missed more (`-o recoverable`, as the server is configured) is never whole.

mod apart;
mod client;
mod crowd;
mod figures;
mod options;
mod story;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::time::{sleep, sleep_until};

use self::apart::Apart;
use self::client::{Client, Part};
use self::crowd::Crowd;
use self::options::Options;
use self::story::Story;
use super::{Figure, Key, Scenario, demand};
use crate::Failure;
use crate::client::{Ended, Order, Swarm};
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::{Phase, Run};

/// Marks of a run beside its phases: the connections break, the clients begin to return, all are back.
const CUT: &str = "cut";
const RETURN: &str = "return";
const BACK: &str = "back";

/// Part of the measurement that shows how things are without a storm.
const CALM: u32 = 3;

/// How long clients may take to notice that they were cut off, and to return.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often somebody looks who waits.
const LOOK: Duration = Duration::from_millis(2);

/// `recover`.
pub(super) struct Recover;

impl Scenario for Recover {
    fn name(&self) -> &'static str {
        "recover"
    }

    fn about(&self) -> &'static str {
        "all clients lose their connections and return at once while publishing goes on"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 10_100,
            channels: 100,
            rate: 400.0,
            connect_rate: 4_000.0,
            duration: Duration::from_secs(12),
            stream: true,
            ..Load::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        options::KEYS
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::publications(self.name(), load)?;
        Options::of(load).map(drop)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(storm(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures::of(outcome)
    }
}

async fn storm(run: &Run) -> Result<(), Failure> {
    let options = Options::of(&run.plan().load)?;
    let story = Arc::new(Story::default());
    run.phase(Phase::Setup).await?;
    let mut apart = Apart::start(run, &options, &story);
    let crowd = Crowd::start(options.nice)?;
    let mut swarm = Swarm::on(crowd.handle(), run);
    let rate = run.share().rate(run.plan().load.connect_rate);
    let client = |number| Client::new(run, &options, &story, Part::Returns, number);
    swarm.add(options.returning(run.share()), rate, client).await?;
    apart.ready().await?;

    let load = &run.plan().load;
    let begin = run.phase(Phase::WarmUp).await?;
    apart.publish(begin, begin + load.warm_up).await?;
    sleep_until((begin + load.warm_up).into()).await;
    let begin = run.phase(Phase::Measure).await?;
    let end = begin + load.duration;
    apart.publish(begin, end).await?;
    sleep_until((begin + load.duration / CALM).into()).await;
    break_and_return(run, &options, &story, &swarm).await?;
    sleep_until(end.into()).await;

    run.phase(Phase::Settle).await?;
    judge(run, &options, &story, (apart, swarm)).await?;
    run.phase(Phase::Done).await?;
    Ok(())
}

/// Waits until everything that was accepted has arrived, or as long as the plan says; then lets everybody leave, and reports
/// what they did not get as it was promised.
async fn judge(
    run: &Run,
    options: &Options,
    story: &Story,
    (apart, swarm): (Apart, Swarm<Client>),
) -> Result<(), Failure> {
    let (ledger, witnesses) = apart.finish().await?;
    let ledger = run.exchange(ledger).await?;
    let accepted = |client| {
        let channel = u32::try_from(options.channel_of(client));
        channel.map_or(0, |channel| ledger.accepted_in(channel))
    };
    let expected = options.clients(run.share()).map(accepted).sum();
    story.arrived().wait(run, expected).await;
    let witnesses = witnesses.leave().await?;
    for Ended { listener, .. } in swarm.finish().await.into_iter().chain(witnesses) {
        listener.judge(&ledger);
    }
    Ok(())
}

/// The storm itself.
async fn break_and_return(
    run: &Run,
    options: &Options,
    story: &Story,
    swarm: &Swarm<Client>,
) -> Result<(), Failure> {
    let all = swarm.members().len();
    let cut = options.cut_of(all);
    let members = &swarm.members()[..cut];
    story.cut_at(run.clock().stamp(run.mark(CUT).await?));
    for member in members {
        member.order(Order::Break).await?;
    }
    wait("to notice that they are cut off", || swarm.ready() == all - cut).await?;
    sleep(options.away).await;
    let begin = run.mark(RETURN).await?;
    story.return_at(run.clock().stamp(begin));
    for (index, member) in members.iter().enumerate() {
        if !options.spread.is_zero() {
            sleep_until((begin + options.delay_of(index, cut)).into()).await;
        }
        member.order(Order::Return).await?;
    }
    wait("to return", || swarm.ready() == all).await?;
    story.back_at(run.clock().now());
    run.total("returned", cut as u64);
    run.mark(BACK).await?;
    Ok(())
}

async fn wait(what: &str, done: impl Fn() -> bool) -> Result<(), Failure> {
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > PATIENCE {
            let patience = PATIENCE.as_secs();
            return Err(Failure::run(format!(
                "clients took longer than {patience} s {what}"
            )));
        }
        sleep(LOOK).await;
    }
    Ok(())
}
