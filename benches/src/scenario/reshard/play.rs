//! The order of a run in which shards come and go: what `reshard` and `mixed` have in common.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ballast::Ballast;
use super::moving::Moving;
use super::operator::{self, Fault, Operator};
use super::traffic::Traffic;
use super::watcher::{Channel, Watched, Watcher};
use super::{ROUNDS, settle, visits};
use crate::Failure;
use crate::admin::Admin;
use crate::check::Ledger;
use crate::client::{Member, Swarm};
use crate::pace::Schedule;
use crate::run::{Phase, Run};

/// Between two steps.
const BREATH: Duration = Duration::from_secs(1);

/// Something that goes on until it is told to end, and says what it has published.
pub(in crate::scenario) type Work = JoinHandle<Result<Ledger, Failure>>;

/// A worker's part of a run.
pub(in crate::scenario) struct Play {
    /// What the client of each number watches.
    pub(in crate::scenario) part: Box<dyn Fn(usize) -> Vec<Channel> + Send + Sync>,
    /// How many clients come and go: those behind the first ones, which publish.
    pub(in crate::scenario) visitors: usize,
    /// What the publishers publish to, and when.
    pub(in crate::scenario) feeds: Vec<(Vec<Channel>, Schedule)>,
    /// What else goes on meanwhile: begun when the load begins, until told to end.
    pub(in crate::scenario) more: Vec<Begin>,
}

/// Begins some work.
pub(in crate::scenario) type Begin = Box<dyn FnOnce(&Run, watch::Receiver<bool>) -> Work + Send + Sync>;

/// What all parts of a run use.
struct Stage<'a> {
    run: &'a Run,
    admin: Admin,
    /// Whether a gateway is killed.
    faulty: bool,
    moving: Moving,
    received: Arc<AtomicU64>,
}

/// Carries a run out; what was published.
pub(in crate::scenario) async fn carry_out(run: &Run, play: Play) -> Result<Ledger, Failure> {
    let load = &run.plan().load;
    let fault = Fault::of(load)?;
    let stage = Stage {
        run,
        admin: Admin::new(run.target())?,
        faulty: fault.is_some_and(Fault::ends_connections),
        moving: Moving::new(),
        received: Arc::default(),
    };
    let mut operator = Operator::new(run, &stage.admin, fault);
    let spare = operator::spare(load, run.target())?;
    let steps = operator::steps(&spare, &operator.first_shard().await?, ROUNDS.value(load)?);

    run.phase(Phase::Setup).await?;
    let shared = stage.watched();
    let swarm = Swarm::connect(run, |client| Watcher::new(&shared, client, (play.part)(client))).await?;
    let ballast = Ballast::fill(run, &stage.admin).await?;
    let (stop, work) = stage
        .begin(swarm.members(), play.feeds, play.visitors, play.more)
        .await?;
    run.phase(Phase::Measure).await?;
    sleep(load.duration).await;
    run.mark("calm").await?;
    let lookout = stage.moving.watch(stage.admin.clone());
    for (step, number) in steps.iter().zip(1..) {
        run.mark(&format!("{number} begins")).await?;
        if run.share().index == 0 {
            operator.carry(step).await?;
        }
        run.mark(&format!("{number} ends")).await?;
        sleep(BREATH).await;
    }
    drop(lookout);
    run.phase(Phase::Settle).await?;
    stop.send_replace(true);
    let ledger = run.exchange(ended(work).await?).await?;
    let watched = swarm.members().iter().flat_map(|it| (play.part)(it.number));
    settle::until(run, &stage.received, settle::expected(&ledger, watched)).await;
    run.phase(Phase::Done).await?;
    for ended in swarm.finish().await {
        // Whose gateway was killed cannot be told anything any more.
        if ended.connected || !stage.faulty {
            ended.listener.finish(&ledger);
        }
    }
    ballast.verify(run, &stage.admin).await?;
    Ok(ledger)
}

impl Stage<'_> {
    fn watched(&self) -> Watched {
        Watched {
            run: self.run.clone(),
            moving: self.moving.clone(),
            received: Arc::clone(&self.received),
            faulty: self.faulty,
        }
    }

    /// The load begins, and is there when this returns.
    async fn begin(
        &self,
        members: &[Member],
        feeds: Vec<(Vec<Channel>, Schedule)>,
        visitors: usize,
        more: Vec<Begin>,
    ) -> Result<(watch::Sender<bool>, Vec<Work>), Failure> {
        let run = self.run;
        // Those that publish are neither watchers nor visitors.
        let (publishers, others) = members.split_at(run.plan().load.publishers);
        let start = run.phase(Phase::WarmUp).await?;
        let (stop, stopped) = watch::channel(false);
        let mut work = Vec::new();
        for (channels, schedule) in feeds.into_iter().filter(|(channels, _)| !channels.is_empty()) {
            let traffic = Traffic::new(run, publishers, channels, &self.moving, self.faulty);
            work.push(tokio::spawn(traffic.drive(schedule, start, stopped.clone())));
        }
        let visitors = others[..visitors].to_vec();
        work.push(visits::visits(visitors, run.plan().seed, stopped.clone()));
        work.extend(more.into_iter().map(|begin| begin(run, stopped.clone())));
        sleep(run.plan().load.warm_up).await;
        Ok((stop, work))
    }
}

/// Waits for all work to end; what was published in all.
async fn ended(work: Vec<Work>) -> Result<Ledger, Failure> {
    let mut whole = Ledger::default();
    for one in work {
        let ledger = one.await.map_err(|error| Failure::run(error.to_string()))?;
        whole.add(ledger?);
    }
    Ok(whole)
}
