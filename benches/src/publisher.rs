//! Publishing at a pace, and keeping account of what became of it.

mod account;
mod api;
mod client;
mod http;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::check::Ledger;
use crate::pace::{Metronome, Schedule};
use crate::payload::{self, Label};
use crate::plan::PublishVia;
use crate::run::{Run, Stamp};
use account::Account;

/// Publications that may wait for one connection; without a rate, which means as many as there can be, no more than one
/// request takes, so that the next ones are made when there is room for them. When it is full, the next ones wait before they are made, which counts in
/// their latency as all waiting does, and as `publish_stalled`.
const QUEUE: usize = 16_384;

/// Publishes through this worker's connections, in the way that the plan says.
///
/// Publications of one channel go through one connection, in the order of their numbers. It notes the latencies `publish`
/// (from the intended time to the server's answer) and `lateness` (to when it was handed to the network) of what is measured,
/// the counters `published`, `publish_refused`, `publish_unknown` and `publish_stalled` while measuring, and the series
/// `published`.
#[derive(Debug)]
pub struct Publisher {
    run: Run,
    lanes: Vec<mpsc::Sender<Item>>,
    tasks: Vec<JoinHandle<Ledger>>,
    /// The last sequence of each channel.
    sequences: HashMap<u32, u64>,
    /// Publications so far: where the turn is.
    turn: usize,
}

/// Where and how often to publish.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Indices and names of the channels, in turns.
    pub channels: Vec<(u32, Arc<str>)>,
    /// Publications a second of this worker.
    pub rate: f64,
    /// Publications that are meant for the same time.
    pub burst: u32,
}

/// One publication on its way.
#[derive(Clone, Debug)]
struct Item {
    name: Arc<str>,
    label: Label,
    data: Bytes,
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
            rate: run.share().rate(load.rate),
            burst: load.burst,
        }
    }
}

impl Publisher {
    /// Opens the connections.
    pub async fn connect(run: &Run) -> Result<Self, Failure> {
        let load = &run.plan().load;
        let mut this = Self {
            run: run.clone(),
            lanes: Vec::new(),
            tasks: Vec::new(),
            sequences: HashMap::new(),
            turn: run.share().index,
        };
        let via_api = load.publish_via == PublishVia::Api && !run.target().apis.is_empty();
        for number in 0..load.publishers {
            let (sender, items) = mpsc::channel(if load.rate > 0.0 { QUEUE } else { load.batch });
            let account = Account::new(run.clone());
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
        if feed.channels.is_empty() {
            return Ok(());
        }
        let mut metronome = Metronome::start(Schedule::new(feed.rate, feed.burst), start, end);
        while let Some(due) = metronome.next().await {
            for beat in due {
                let (channel, name) = &feed.channels[self.turn % feed.channels.len()];
                self.turn += 1;
                let intended = self.run.clock().stamp(beat.intended);
                self.publish(*channel, name, intended).await?;
            }
        }
        tokio::time::sleep_until(end.into()).await;
        Ok(())
    }

    /// Publishes once, meant for `intended`. Waits only when the queue of its connection is full.
    pub async fn publish(&mut self, channel: u32, name: &Arc<str>, intended: Stamp) -> Result<(), Failure> {
        let sequence = self.sequences.entry(channel).or_default();
        *sequence += 1;
        let label = Label {
            worker: u16::try_from(self.run.share().index).unwrap_or(u16::MAX),
            channel,
            sequence: *sequence,
            intended,
        };
        let item = Item {
            name: Arc::clone(name),
            label,
            data: payload::write(&label, self.run.plan().load.size),
        };
        let lane = &self.lanes[channel as usize % self.lanes.len()];
        let Err(full) = lane.try_send(item) else {
            return Ok(());
        };
        self.run.count("publish_stalled", 1);
        let sent = lane.send(full.into_inner()).await;
        sent.map_err(|_| Failure::run("a publishing connection is gone"))
    }

    /// Waits for the answers that are still to come, as long as the plan's `settle`; what became of everything.
    pub async fn finish(self) -> Ledger {
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
