//! The workers of a run, wherever they are.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::controller::Controller;
use super::door::{self, Door};
use super::protocol::{FromWorker, ToWorker};
use super::{wire, worker};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::{Plan, Share};
use crate::report::progress::Progress;
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
    /// By how much this clock is ahead of each one's, in nanoseconds.
    ahead: Vec<i64>,
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
            let door = Door::open(&options.listen).await?;
            progress.note(&format!(
                "waiting for {} workers: {}",
                options.expect,
                door.invitation()
            ));
            for number in 0..options.expect {
                let stream = door.next(progress).await?;
                let (read, write) = stream.into_split();
                let port = crew.carry(BufReader::new(read), write);
                let ahead = door::clock_offset(port).await?;
                crew.ahead.push(ahead);
                progress.note(&format!(
                    "{} of {} workers have joined",
                    number + 1,
                    options.expect
                ));
            }
        }
        if crew.ports.is_empty() {
            return Err(Failure::usage("a run needs a worker"));
        }
        Ok(crew)
    }

    /// Leads them through a run.
    pub async fn run(
        &mut self,
        plan: &Plan,
        target: &Target,
        progress: &mut Progress,
    ) -> Result<Outcome, Failure> {
        let id = format!("{:08x}", rand::random::<u32>());
        let of = self.ports.len();
        for (index, (port, ahead)) in self.ports.iter().zip(&self.ahead).enumerate() {
            let assignment = Box::new(Assignment {
                id: id.clone(),
                plan: plan.clone(),
                share: Share { index, of },
                target: target.clone(),
            });
            let begin = ToWorker::Begin {
                assignment,
                ahead: *ahead,
            };
            let told = port.to.send(begin).await;
            told.map_err(|_| Failure::run(format!("worker {index} has ended")))?;
        }
        let controller = Controller {
            ports: &mut self.ports,
            clock: Clock::new(),
            progress,
        };
        controller.conduct(plan.clone(), target.clone()).await
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
        self.ahead.push(0);
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
            Ok(Some(FromWorker::Time { .. })) => self.ahead.push(0),
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

fn absent() -> Failure {
    Failure::run("a worker does not come up")
}
