//! The workers of a run, wherever they are.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::controller::Controller;
use super::door::{self, Door, Offset};
use super::protocol::{FromWorker, ToWorker};
use super::{wire, worker};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::{Plan, Share};
use crate::report::progress::Progress;
use crate::report::words;
use crate::run::{Assignment, Clock, Port, pair};
use crate::target::Target;

/// How long a worker may take to say what is asked of it at the beginning.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which workers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrewOptions {
    /// On this machine. One alone is a part of this process.
    pub workers: usize,
    /// Workers that join from other machines.
    pub expect: usize,
    /// Where they join.
    pub listen: String,
}

impl Default for CrewOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            expect: 0,
            listen: "0.0.0.0:7117".to_owned(),
        }
    }
}

/// Workers that are ready. They end when this is dropped, as after a run that has failed, unless they were dismissed before.
#[derive(Debug, Default)]
pub struct Crew {
    ports: Vec<Port>,
    /// Which of them are on other machines, as far as is known.
    remote: Vec<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Killed when dropped.
    children: Vec<Child>,
}

impl Crew {
    /// Starts workers, and waits for those that join.
    pub async fn gather(options: &CrewOptions, progress: &mut Progress) -> Result<Self, Failure> {
        let mut crew = Self::default();
        match options.workers {
            1 if options.expect == 0 => crew.add_own(),
            count => {
                for _ in 0..count {
                    crew.add_child().await?;
                }
            }
        }
        if options.expect > 0 {
            crew.wait_for(options, progress).await?;
        }
        if crew.ports.is_empty() {
            return Err(Failure::usage("a run needs a worker"));
        }
        Ok(crew)
    }

    /// Waits for those that join.
    async fn wait_for(&mut self, options: &CrewOptions, progress: &mut Progress) -> Result<(), Failure> {
        let (door, of) = (Door::open(&options.listen).await?, options.expect);
        progress.note(&format!("waiting for {of} workers: {}", door.invitation()));
        for number in 1..=of {
            let stream = door.next(progress).await?;
            let (read, write) = stream.into_split();
            let port = self.carry(BufReader::new(read), write);
            // Who does not tell the time has left as soon as it had joined.
            door::clock_offset(port).await?;
            self.remote.push(true);
            progress.note(&format!("{number} of {of} workers have joined"));
        }
        Ok(())
    }

    /// Leads them through a run.
    pub async fn run(
        &mut self,
        plan: &Plan,
        target: &Target,
        progress: &mut Progress,
    ) -> Result<Outcome, Failure> {
        let before = self.clocks().await?;
        self.begin(plan, target, &before).await?;
        let controller = Controller {
            ports: &mut self.ports,
            clock: Clock::new(),
            progress,
        };
        let mut outcome = controller.conduct(plan.clone(), target.clone()).await?;
        match self.clocks().await {
            Ok(after) => outcome.notes = drifts(&before, &after),
            // The result stands without it.
            Err(failure) => outcome.unseen.push(format!("the drift of clocks: {failure}")),
        }
        Ok(outcome)
    }

    /// How the clocks of workers on other machines stand to this one; all others are this one.
    async fn clocks(&mut self) -> Result<Vec<Option<Offset>>, Failure> {
        let mut clocks = Vec::new();
        for (port, is_remote) in self.ports.iter_mut().zip(&self.remote) {
            clocks.push(if *is_remote {
                Some(door::clock_offset(port).await?)
            } else {
                None
            });
        }
        Ok(clocks)
    }

    /// Tells each of them what to do.
    async fn begin(&self, plan: &Plan, target: &Target, clocks: &[Option<Offset>]) -> Result<(), Failure> {
        let of = self.ports.len();
        for (index, (port, clock)) in self.ports.iter().zip(clocks).enumerate() {
            let assignment = Box::new(Assignment {
                // The same seed makes the same channels, which lie on the same shards.
                id: format!("{:08x}", plan.seed),
                plan: plan.clone(),
                share: Share { index, of },
                target: target.clone(),
            });
            let ahead = clock.unwrap_or_default().ahead;
            let told = port.to.send(ToWorker::Begin { assignment, ahead }).await;
            told.map_err(|_| Failure::run(format!("worker {index} has ended")))?;
        }
        Ok(())
    }

    /// Tells them that there is no more to do, and waits until they have been told: to those that joined, a controller that ends
    /// without a word is one that has died.
    pub async fn dismiss(mut self) {
        for port in self.ports.drain(..) {
            // Who is gone need not be told.
            let _ = port.to.send(ToWorker::Stop).await;
        }
        for task in &mut self.tasks {
            let _ = timeout(PATIENCE, task).await;
        }
    }

    /// A worker in this process.
    fn add_own(&mut self) {
        let (link, port) = pair();
        self.tasks.push(tokio::spawn(async {
            // The port sees how it ends.
            let _ = worker::attend(link).await;
        }));
        self.ports.push(port);
        self.remote.push(false);
    }

    /// A worker in a process of its own. It ends when its standard input does, thus with this process at the latest.
    async fn add_child(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["worker", "--stdio"])
            .process_group(0)
            .kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::run("a worker without its standard streams"));
        };
        self.children.push(child);
        let port = self.carry(BufReader::new(stdout), stdin);
        // Its clock is this one's; but it says so only if it has come up.
        port.to.send(ToWorker::Time).await.map_err(|_| absent())?;
        match timeout(PATIENCE, port.from.recv()).await {
            Ok(Some(FromWorker::Time { .. })) => self.remote.push(false),
            _ => return Err(absent()),
        }
        Ok(())
    }

    /// A worker at the other end of a wire.
    fn carry(
        &mut self,
        read: BufReader<impl tokio::io::AsyncRead + Send + Unpin + 'static>,
        write: impl tokio::io::AsyncWrite + Send + Unpin + 'static,
    ) -> &mut Port {
        let (link, port) = pair();
        self.tasks
            .push(tokio::spawn(wire::controller_side(read, write, link)));
        self.ports.push(port);
        self.ports.last_mut().expect("one was put there just now")
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What is to be known of the clocks of workers on other machines.
fn drifts(before: &[Option<Offset>], after: &[Option<Offset>]) -> Vec<String> {
    let both = before.iter().zip(after).enumerate();
    both.filter_map(|(worker, (before, after))| {
        let (before, after) = ((*before)?, (*after)?);
        let words = |duration: Duration| words::seconds(duration.as_secs_f64());
        Some(format!(
            "the clock of worker {worker} is known to {}, and drifted by {} during the run",
            words(before.exact_to.max(after.exact_to)),
            words(after.drift_since(before)),
        ))
    })
    .collect()
}

fn absent() -> Failure {
    Failure::run("a worker does not come up")
}
