//! The controller's part of a run.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::protocol::{FromWorker, ToWorker};
use crate::Failure;
use crate::check::Ledger;
use crate::measure::processes::{self, Watcher};
use crate::measure::{Machine, Mark, Outcome, Recording, Scraper};
use crate::plan::{Load, Plan};
use crate::report::progress::Progress;
use crate::run::{Clock, Port, Stamp};
use crate::secrets;
use crate::target::Target;

/// How long after the last worker has come all of them go on: time enough to tell them.
const HEAD_START: Duration = Duration::from_millis(20);

/// Between two looks at the server's processes: often enough for phases of a few seconds, at a thousandth of a core.
const LOOKS: Duration = Duration::from_millis(500);

/// How long no worker may say anything, beside what the plan asks for. Whatever takes longer and goes on, such as filling
/// streams, says how far it is; the longest that says nothing new gives up after ten minutes.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// Leads workers through a run.
pub(crate) struct Controller<'a> {
    pub(crate) ports: &'a mut [Port],
    pub(crate) clock: Clock,
    pub(crate) progress: &'a mut Progress,
}

/// What is gathered while a run goes on.
struct Gathered {
    recording: Recording,
    marks: Vec<Mark>,
    watcher: Watcher,
    scraper: Scraper,
    ticks: Interval,
    /// How long no worker may say anything.
    silence: Duration,
}

impl Controller<'_> {
    /// Leads the workers to the end of the run.
    pub(crate) async fn conduct(mut self, plan: Plan, target: Target) -> Result<Outcome, Failure> {
        let mut ticks = interval(LOOKS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (watched, mut unseen) = processes::of(&target);
        let mut gathered = Gathered {
            recording: Recording::default(),
            marks: Vec::new(),
            watcher: Watcher::new(watched),
            scraper: Scraper::new(target.metrics.clone()),
            ticks,
            silence: silence(&plan.load),
        };
        let workers = self.ports.len();
        while self.step(&mut gathered).await? {}
        self.progress.finish();
        let (counted, unread) = gathered.scraper.finish().await;
        unseen.extend(unread);
        unseen.extend(std::mem::take(&mut gathered.recording.unseen));
        let unseen = unseen.iter().map(|what| secrets::urls(what)).collect();
        Ok(Outcome {
            plan: plan.without_secrets(),
            target: target.without_secrets(),
            workers,
            recording: gathered.recording,
            marks: gathered.marks,
            processes: gathered.watcher.finish(),
            counted,
            unseen,
            notes: Vec::new(),
            machine: Machine::this(),
        })
    }

    /// From one point where all workers meet to the next; false at the end.
    async fn step(&mut self, gathered: &mut Gathered) -> Result<bool, Failure> {
        let mut said: Vec<Option<FromWorker>> = self.ports.iter().map(|_| None).collect();
        while said.iter().any(Option::is_none) {
            let (worker, message) = self.hear(&said, gathered).await?;
            said[worker] = Some(message);
        }
        let mut said = said.into_iter().flatten();
        match said.next() {
            None => Err(Failure::usage("a run needs a worker")),
            Some(FromWorker::Arrived { at }) => {
                let same = |other| matches!(other, FromWorker::Arrived { at: there } if there == at);
                if !said.all(same) {
                    return Err(apart());
                }
                self.go_on(at, gathered).await
            }
            Some(FromWorker::Ledger(first)) => self.share(first, said).await,
            Some(FromWorker::Finished { recording }) => {
                gathered.recording.add(&recording);
                for other in said {
                    let FromWorker::Finished { recording } = other else {
                        return Err(apart());
                    };
                    gathered.recording.add(&recording);
                }
                Ok(false)
            }
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// What one of those says that have not `said` anything yet that matters to the others.
    async fn hear(
        &mut self,
        said: &[Option<FromWorker>],
        gathered: &mut Gathered,
    ) -> Result<(usize, FromWorker), Failure> {
        let mut deadline = Instant::now() + gathered.silence;
        loop {
            let (worker, message) = tokio::select! {
                heard = next(self.ports, said) => heard,
                _ = gathered.ticks.tick() => {
                    gathered.watcher.tick(self.clock.now());
                    if Instant::now() >= deadline {
                        return Err(silent(said, gathered.silence));
                    }
                    continue;
                }
            };
            deadline = Instant::now() + gathered.silence;
            match message {
                None => return Err(Failure::run(format!("worker {worker} has ended"))),
                Some(FromWorker::Failed { failure }) if said.len() > 1 => {
                    return Err(failure.during(&format!("worker {worker}")));
                }
                Some(FromWorker::Failed { failure }) => return Err(failure),
                Some(FromWorker::Progress { done, of, what }) => {
                    self.progress.advance(worker, done, of, &what);
                }
                Some(other) => return Ok((worker, other)),
            }
        }
    }

    async fn go_on(&mut self, name: String, gathered: &mut Gathered) -> Result<bool, Failure> {
        let at: Stamp = self.clock.now().plus(HEAD_START);
        self.tell_all(&ToWorker::Go { at }).await?;
        self.progress.reached(&name);
        tokio::time::sleep_until(self.clock.instant(at).into()).await;
        gathered.watcher.mark(&name, self.clock.now());
        gathered.scraper.mark(&name);
        gathered.marks.push(Mark { name, at });
        Ok(true)
    }

    async fn share(
        &mut self,
        mut merged: Ledger,
        others: impl Iterator<Item = FromWorker>,
    ) -> Result<bool, Failure> {
        for other in others {
            let FromWorker::Ledger(ledger) = other else {
                return Err(apart());
            };
            merged.add(ledger);
        }
        self.tell_all(&ToWorker::Ledger(merged)).await?;
        Ok(true)
    }

    async fn tell_all(&mut self, message: &ToWorker) -> Result<(), Failure> {
        for (worker, port) in self.ports.iter().enumerate() {
            let told = port.to.send(message.clone()).await;
            told.map_err(|_| Failure::run(format!("worker {worker} has ended")))?;
        }
        Ok(())
    }
}

/// What comes next from those that have not `said` anything yet; `None`: one has ended. Cancel safe.
async fn next(ports: &mut [Port], said: &[Option<FromWorker>]) -> (usize, Option<FromWorker>) {
    poll_fn(|cx| {
        for (worker, port) in ports.iter_mut().enumerate() {
            if said[worker].is_none()
                && let Poll::Ready(message) = port.from.poll_recv(cx)
            {
                return Poll::Ready((worker, message));
            }
        }
        Poll::Pending
    })
    .await
}

/// How long workers may say nothing while they carry out this load.
fn silence(load: &Load) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "exact for 2^53 clients")]
    let connecting = Duration::try_from_secs_f64(load.connections as f64 / load.connect_rate);
    SILENCE + connecting.unwrap_or_default() + load.warm_up + load.duration + load.settle
}

/// Those who have said nothing for so long.
fn silent(said: &[Option<FromWorker>], silence: Duration) -> Failure {
    let worker = said.iter().position(Option::is_none).unwrap_or_default();
    let minutes = silence.as_secs() / 60;
    Failure::run(format!(
        "worker {worker} has said nothing for {minutes} minutes: it, or the server, has stopped"
    ))
}

fn apart() -> Failure {
    Failure::run("workers are at different points of the run")
}

fn unexpected(message: &FromWorker) -> Failure {
    Failure::run(format!("a worker says what nobody asked: {message:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[tokio::test(start_paused = true)]
    async fn workers_that_fall_silent_end_the_run() {
        let (link, port) = crate::run::pair();
        let controller = Controller {
            ports: &mut [port],
            clock: Clock::new(),
            progress: &mut Progress::silent(),
        };
        let scenario = scenario::find("fanout").unwrap();
        let plan = Plan {
            scenario: scenario.name().to_owned(),
            load: scenario.defaults(),
            seed: 1,
            prefix: String::new(),
        };
        link.progress(1, 2, "clients");
        let failure = controller.conduct(plan, Target::default()).await.unwrap_err();
        assert_eq!(failure.exit_code(), 3);
        assert!(
            failure.to_string().starts_with("worker 0 has said nothing"),
            "{failure}"
        );
    }
}
