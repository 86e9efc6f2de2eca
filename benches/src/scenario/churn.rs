//! `churn`: clients come, receive and leave while others stay.
//!
//! They come in waves of a second, stay a while, and leave in three ways, in turns: with a goodbye, without a word, and by
//! falling silent, which the server has to notice: it must disconnect them because they answer no pings. Rounds of that end with nobody but those who stay, so that whatever is left
//! behind shows as memory that grows from round to round.

mod figures;
mod leftovers;
mod silence;
mod visitor;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::broken::report;
use super::steady::Steady;
use super::{Figure, Key, Scenario, demand};
use crate::Failure;
use crate::check::Ledger;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::{Phase, Run};
use crate::stack::StackOptions;
use leftovers::Leftovers;
use visitor::Gone;

/// `churn`.
pub(super) struct Churn;

/// The marks at the ends of rounds.
const ROUNDS: [&str; 6] = ["round_0", "round_1", "round_2", "round_3", "round_4", "round_5"];

/// How long a client stays.
const STAY: Key = Key::number("stay", "1", "seconds for which a client stays");

/// Time between the waves.
const WAVE: Duration = Duration::from_secs(1);

impl Scenario for Churn {
    fn name(&self) -> &'static str {
        "churn"
    }

    fn about(&self) -> &'static str {
        "clients come, receive and leave in three ways, while others stay and receive everything"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 100,
            connect_rate: 200.0,
            channels: 50,
            duration: Duration::from_secs(24),
            ..Load::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        &[STAY]
    }

    /// Pings so often that who is silent is noticed within a round.
    fn stack(&self) -> StackOptions {
        let pings = [("client.ping_interval", "3s"), ("client.pong_timeout", "2s")];
        StackOptions {
            settings: pings
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            ..StackOptions::default()
        }
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::connections(self.name(), load, 1)?;
        demand::publications(self.name(), load)?;
        stay(load).map(drop)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(churn(run))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        figures::of(outcome)
    }
}

fn stay(load: &Load) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(STAY.value(load)?)
        .map_err(|error| Failure::usage(format!("-o stay: {error}")))
}

/// Waves of a round, the first of which warms up.
fn waves(load: &Load) -> usize {
    let rounds = u64::try_from(ROUNDS.len()).unwrap_or(1);
    usize::try_from(load.duration.as_secs() / rounds)
        .unwrap_or(1)
        .max(1)
}

/// Clients of all workers in a wave.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and beyond what a machine can connect in a second long before it is cut off"
)]
fn wave(load: &Load) -> usize {
    (load.connect_rate * WAVE.as_secs_f64()).max(1.0) as usize
}

async fn churn(run: &Run) -> Result<(), Failure> {
    let load = &run.plan().load;
    let leftovers = Leftovers::before(run).await;
    run.phase(Phase::Setup).await?;
    let mut steady = Steady::gather(run, load.connections).await?;
    let warm = run.phase(Phase::WarmUp).await?;
    steady.publish(warm, warm + load.warm_up).await?;
    let mut from = run.phase(Phase::Measure).await?;
    let mut gone = Vec::new();
    for (round, mark) in ROUNDS.iter().enumerate() {
        gone.extend(steady.publish_while(from, go_round(run, round)).await?);
        tokio::time::sleep(load.warm_up).await;
        from = run.mark(mark).await?;
    }
    run.phase(Phase::Settle).await?;
    let ledger = steady.finish().await?;
    judge(run, gone, &ledger);
    if let Some(leftovers) = leftovers {
        leftovers.check(run).await;
    }
    run.phase(Phase::Done).await?;
    Ok(())
}

/// Lets this worker's part of a round's clients come and go.
async fn go_round(run: &Run, round: usize) -> Result<Vec<Gone>, Failure> {
    let load = &run.plan().load;
    let (waves, each) = (waves(load), wave(load));
    let mut visits = JoinSet::new();
    let mut ticks = tokio::time::interval(WAVE);
    for wave in round * waves..(round + 1) * waves {
        ticks.tick().await;
        let first = load.connections + wave * each;
        visits.spawn(visitor::visit(
            run.clone(),
            run.share().part(first..first + each),
            stay(load)?,
        ));
    }
    let mut gone = Vec::new();
    while let Some(visit) = visits.join_next().await {
        gone.extend(visit.map_err(|error| Failure::run(error.to_string()))??);
    }
    Ok(gone)
}

/// Reports what those who have gone did not get while they were there.
fn judge(run: &Run, gone: Vec<Gone>, ledger: &Ledger) {
    for Gone { number, seen } in gone {
        report(run, format_args!("client {number}"), &seen.finish_early(ledger));
    }
}
