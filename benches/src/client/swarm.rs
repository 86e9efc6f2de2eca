//! Many clients.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_client::Closed;
use campanile_client::transport::Dial;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::status::Status;
use super::task::Task;
use super::{Listener, Member, Order, sources};
use crate::Failure;
use crate::pace::{Metronome, Schedule};
use crate::plan::Share;
use crate::run::Run;

/// Orders that may wait for one client; whoever gives another one waits.
const ORDERS: usize = 4;

/// How long after the last one was meant to connect all clients must be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// No clients come later.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// How often somebody who waits is told how far it is.
const TELL: Duration = Duration::from_millis(200);

/// Many clients, this worker's share of the plan's.
#[derive(Debug)]
pub struct Swarm<L> {
    members: Vec<Member>,
    tasks: Vec<JoinHandle<Ended<L>>>,
    status: Arc<Status>,
    run: Run,
    home: Handle,
    dialers: HashMap<(usize, Option<IpAddr>), Dialer>,
}

/// A dialer is kept: it may remember what makes the next connection faster.
#[derive(Clone)]
struct Dialer(Arc<dyn Dial>);

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}

/// A client that has come to its end.
#[derive(Debug)]
pub struct Ended<L> {
    /// Its number, over all workers.
    pub number: usize,
    /// Its listener.
    pub listener: L,
    /// Whether it had a connection in the end.
    pub connected: bool,
    /// How its connection ended last, if the server or the network did that.
    pub closed: Option<Closed>,
}

impl<L: Listener> Swarm<L> {
    /// Connects this worker's share of the plan's clients, at the plan's pace, each with the listener of its number, and waits
    /// until all are ready.
    ///
    /// Notes as the latencies `connect` and `ready` how long each took until it was connected, and until everything it
    /// subscribes to had been answered, from when it was meant to begin. An attempt that fails is counted as
    /// `connect_failed` and made again.
    pub async fn connect(run: &Run, listener: impl FnMut(usize) -> L) -> Result<Self, Failure> {
        let mut swarm = Self::empty(run);
        let numbers = run.share().range(run.plan().load.connections);
        let rate = run.share().rate(run.plan().load.connect_rate);
        swarm.add(numbers, rate, listener).await?;
        Ok(swarm)
    }

    /// A swarm of nobody yet, on the present runtime.
    #[must_use]
    pub fn empty(run: &Run) -> Self {
        Self::on(Handle::current(), run)
    }

    /// A swarm of nobody yet, whose clients are to live on another runtime.
    #[must_use]
    pub fn on(home: Handle, run: &Run) -> Self {
        Self {
            members: Vec::new(),
            tasks: Vec::new(),
            status: Arc::default(),
            run: run.clone(),
            home,
            dialers: HashMap::new(),
        }
    }

    /// Adds the clients of these numbers, `rate` a second, and waits until all are ready.
    pub async fn add(
        &mut self,
        numbers: impl ExactSizeIterator<Item = usize>,
        rate: f64,
        mut listener: impl FnMut(usize) -> L,
    ) -> Result<(), Failure> {
        let mut numbers = numbers.into_iter();
        let mut metronome = beats(self.run.share(), numbers.len(), rate);
        while numbers.len() > 0 {
            let Some(due) = metronome.next().await else {
                let left = numbers.len();
                return Err(Failure::run(format!(
                    "at {rate} a second, {left} clients never come to connect"
                )));
            };
            for (beat, number) in due.zip(&mut numbers) {
                let client = listener(number);
                self.begin(number, client, beat.intended)?;
            }
            self.tell();
            if let Some(failure) = self.status.refused() {
                return Err(failure);
            }
        }
        self.wait_for_all().await
    }

    /// The clients, in the order in which they were added.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many of them are ready now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.status.now()
    }

    /// Ends all connections and gives the listeners back, in the order in which they were added.
    pub async fn finish(self) -> Vec<Ended<L>> {
        for member in &self.members {
            // Who is gone has left already.
            let _ = member.order(Order::Leave).await;
        }
        drop(self.members);
        let mut ended = Vec::with_capacity(self.tasks.len());
        for task in self.tasks {
            match task.await {
                Ok(client) => ended.push(client),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Nobody aborts clients but the end of the runtime.
                Err(_) => {}
            }
        }
        ended
    }

    fn begin(&mut self, number: usize, listener: L, intended: Instant) -> Result<(), Failure> {
        let (sender, orders) = mpsc::channel(ORDERS);
        let task = Task {
            number,
            run: self.run.clone(),
            dialer: self.dialer(number)?,
            listener,
            orders,
            status: Arc::clone(&self.status),
            arrived: false,
            closed: None,
        };
        self.tasks.push(self.home.spawn(task.live(intended)));
        self.members.push(Member {
            number,
            orders: sender,
        });
        Ok(())
    }

    fn dialer(&mut self, number: usize) -> Result<Arc<dyn Dial>, Failure> {
        let target = self.run.target();
        let url = number % target.urls.len();
        let source = if target.takes_many_sources(&target.urls[url]) {
            sources::of(number)
        } else {
            None
        };
        if let Some(dialer) = self.dialers.get(&(url, source)) {
            return Ok(Arc::clone(&dialer.0));
        }
        let dialer = target.dialer(&target.urls[url], source)?;
        self.dialers.insert((url, source), Dialer(Arc::clone(&dialer)));
        Ok(dialer)
    }

    async fn wait_for_all(&self) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.status.arrived() < self.members.len() {
            if let Some(failure) = self.status.refused() {
                return Err(failure);
            }
            let (left, all) = (self.members.len() - self.status.arrived(), self.members.len());
            if tokio::time::Instant::now() >= deadline {
                let why = self.status.trouble();
                return Err(Failure::run(format!(
                    "{left} of {all} clients did not get ready: {why}"
                )));
            }
            // The last one to arrive wakes this; the time is for telling how far it is, and for the deadline.
            let _ = tokio::time::timeout(TELL, self.status.changed()).await;
            self.tell();
        }
        Ok(())
    }

    fn tell(&self) {
        let (arrived, all) = (self.status.arrived(), self.members.len());
        self.run.progress(arrived as u64, all as u64, "clients");
    }
}

/// When `count` clients begin, `rate` a second in this worker, in turns with the other workers' clients.
fn beats(share: Share, count: usize, rate: f64) -> Metronome {
    let start = Instant::now();
    #[expect(clippy::cast_precision_loss, reason = "workers are few")]
    let schedule = Schedule::new(rate * share.of as f64, 1).part(share);
    // A nanosecond behind the last one: what is meant for the end itself does not happen.
    let last = schedule.at((count as u64).saturating_sub(1));
    let end = last.unwrap_or(FAR).min(FAR) + Duration::from_nanos(1);
    Metronome::start(schedule, start, start + end)
}
