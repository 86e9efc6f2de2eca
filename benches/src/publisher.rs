//! Publishing at a pace, and keeping account of what became of it.

mod account;
mod api;
mod client;
mod http;

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use crate::Failure;
use crate::check::Ledger;
use crate::pace::{Metronome, Schedule};
use crate::payload::Label;
use crate::plan::PublishVia;
use crate::run::{Run, Stamp};
use account::{Account, End};

/// Publications that may wait for one connection, of which each is a label; their payloads are made when they are sent.
/// Without a rate, which means as many as there can be, no more than one request takes, so that the next ones are made when
/// there is room for them. When it is full, the next ones wait before they are made, which counts in their latency as all
/// waiting does, and as `publish_stalled`.
const QUEUE: usize = 16_384;

/// How long a connection may take nothing, at least, when its queue is full; as long as the plan's `settle`, if that is
/// longer, and until that time after publishing was meant to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes through this worker's connections, in the way that the plan says.
///
/// Publications of one channel go through one connection, in the order of their numbers. It notes the latencies `publish`
/// (from the intended time to the server's answer) and `lateness` (to when it was handed to the network) of what is measured,
/// the counters `published`, `publish_refused`, `publish_unknown` and `publish_stalled` while measuring, `publish_unsent`, and
/// the series `published`.
#[derive(Debug)]
pub struct Publisher {
    run: Run,
    lanes: Vec<mpsc::Sender<Item>>,
    tasks: Vec<JoinHandle<Ledger>>,
    /// Tells the connections until when they may wait for answers, once nothing more comes.
    end: watch::Sender<End>,
    /// The last sequence of each channel.
    sequences: HashMap<u32, u64>,
    /// Where the turn is among a feed's channels: each worker takes every so manieth.
    turn: usize,
    /// When publishing is meant to end, as far as that is known.
    until: Instant,
}

/// Where and how often to publish.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Indices and names of the channels, in turns.
    pub channels: Vec<(u32, Arc<str>)>,
    /// When this worker publishes.
    pub schedule: Schedule,
}

/// One publication on its way.
#[derive(Clone, Debug)]
struct Item {
    name: Arc<str>,
    label: Label,
}

impl Feed {
    /// All of the plan's channels, at this worker's share of the plan's rate.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self::to(run, run.plan().load.channels)
    }

    /// The first so many channels, at this worker's share of the plan's rate.
    #[must_use]
    pub fn to(run: &Run, channels: usize) -> Self {
        let load = &run.plan().load;
        let channel = |index: usize| {
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            (number, run.channel(index).into())
        };
        Self {
            channels: (0..channels).map(channel).collect(),
            schedule: Schedule::new(load.rate, load.burst).part(run.share()),
        }
    }
}

impl Publisher {
    /// Opens the connections.
    pub async fn connect(run: &Run) -> Result<Self, Failure> {
        let load = &run.plan().load;
        let (end, ended) = watch::channel(None);
        let mut this = Self {
            run: run.clone(),
            lanes: Vec::new(),
            tasks: Vec::new(),
            end,
            sequences: HashMap::new(),
            turn: run.share().index,
            until: Instant::now(),
        };
        let via_api = load.publish_via == PublishVia::Api && !run.target().apis.is_empty();
        for number in 0..load.publishers {
            let (sender, items) = mpsc::channel(if load.rate > 0.0 { QUEUE } else { load.batch });
            let account = Account::new(run.clone(), ended.clone());
            this.tasks.push(if via_api {
                let server = http::Server::of(run.target(), number)?;
                tokio::spawn(api::publish(server.connect().await?, items, account))
            } else {
                let lane = client::Lane::connect(run, number).await?;
                tokio::spawn(lane.publish(items, account))
            });
            this.lanes.push(sender);
        }
        Ok(this)
    }

    /// Publishes from `start` on, and returns at `end`. Sequences go on where they were.
    pub async fn drive(&mut self, feed: &Feed, start: Instant, end: Instant) -> Result<(), Failure> {
        self.until = end;
        self.follow(feed, Metronome::start(feed.schedule, start, end))
            .await?;
        tokio::time::sleep_until(end.into()).await;
        Ok(())
    }

    /// Publishes from `start` on, until `other` has come to its end.
    pub async fn drive_while<T>(
        &mut self,
        feed: &Feed,
        start: Instant,
        other: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let publishing = async {
            self.follow(feed, Metronome::endless(feed.schedule, start))
                .await?;
            pending().await
        };
        tokio::select! {
            done = other => done,
            failed = publishing => failed,
        }
    }

    /// Publishes whenever it is time to, in the feed's channels in turns. Cancel safe.
    async fn follow(&mut self, feed: &Feed, mut metronome: Metronome) -> Result<(), Failure> {
        if feed.channels.is_empty() {
            return Ok(());
        }
        while let Some(due) = metronome.next().await {
            for beat in due {
                let (channel, name) = &feed.channels[self.turn % feed.channels.len()];
                self.turn += self.run.share().of;
                let intended = self.run.clock().stamp(beat.intended);
                self.publish(*channel, name, intended).await?;
            }
        }
        Ok(())
    }

    /// Publishes once, meant for `intended`. Waits only when the queue of its connection is full. Cancel safe: whoever does
    /// not wait any more has not published.
    pub async fn publish(&mut self, channel: u32, name: &Arc<str>, intended: Stamp) -> Result<(), Failure> {
        let lane = &self.lanes[channel as usize % self.lanes.len()];
        let place = if let Ok(place) = lane.try_reserve() {
            place
        } else {
            self.run.count("publish_stalled", 1);
            place(lane, self.until, self.run.plan().load.settle).await?
        };
        // Only now: a number that was taken is published.
        let sequence = self.sequences.entry(channel).or_default();
        *sequence += 1;
        let label = Label {
            worker: u16::try_from(self.run.share().index).unwrap_or(u16::MAX),
            channel,
            sequence: *sequence,
            intended,
        };
        let name = Arc::clone(name);
        place.send(Item { name, label });
        Ok(())
    }

    /// Waits for the answers that are still to come, as long as the plan's `settle`; what became of everything.
    pub async fn finish(self) -> Ledger {
        let deadline = tokio::time::Instant::now() + self.run.plan().load.settle;
        self.end.send_replace(Some(deadline));
        drop(self.lanes);
        let mut whole = Ledger::default();
        for task in self.tasks {
            match task.await {
                Ok(ledger) => whole.add(ledger),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Nobody aborts lanes but the end of the runtime.
                Err(_) => {}
            }
        }
        whole
    }
}

/// A place in the queue of a connection, as soon as there is one.
async fn place(
    lane: &mpsc::Sender<Item>,
    until: Instant,
    settle: Duration,
) -> Result<mpsc::Permit<'_, Item>, Failure> {
    let patience = settle.max(PATIENCE);
    let deadline = until.max(Instant::now()) + patience;
    match timeout_at(deadline.into(), lane.reserve()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) => Err(Failure::run("a publishing connection is gone")),
        Err(_) => Err(Failure::run(format!(
            "the server has taken no publication of a connection for {} s",
            patience.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests;
