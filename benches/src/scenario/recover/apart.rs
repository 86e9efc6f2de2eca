//! The witnesses and the publisher, on a thread of their own.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::client::{Client, Part};
use super::options::Options;
use super::story::Story;
use crate::Failure;
use crate::check::Ledger;
use crate::client::{Ended, Swarm};
use crate::pace::Schedule;
use crate::publisher::{Feed, Publisher};
use crate::run::Run;

/// From when until when to publish.
type Span = (Instant, Instant);

/// What the witnesses have to say.
type Testimony = Result<Vec<Ended<Client>>, Failure>;

/// A thread with the witnesses and the publisher of this worker.
pub(super) struct Apart {
    ready: Option<oneshot::Receiver<()>>,
    spans: mpsc::Sender<Span>,
    published: oneshot::Receiver<Ledger>,
    witnesses: Witnesses,
}

/// The witnesses, when nothing is published any more.
pub(super) struct Witnesses {
    leave: oneshot::Sender<()>,
    end: oneshot::Receiver<Testimony>,
}

/// What the thread is told, and whom it tells.
struct Orders {
    ready: oneshot::Sender<()>,
    spans: mpsc::Receiver<Span>,
    published: oneshot::Sender<Ledger>,
    leave: oneshot::Receiver<()>,
}

impl Apart {
    /// Begins to connect them.
    pub(super) fn start(run: &Run, options: &Options, story: &Arc<Story>) -> Self {
        let (tell_ready, ready) = oneshot::channel();
        let (spans, told_spans) = mpsc::channel(1);
        let (tell_published, published) = oneshot::channel();
        let (leave, told_leave) = oneshot::channel();
        let (tell_end, end) = oneshot::channel();
        let orders = Orders {
            ready: tell_ready,
            spans: told_spans,
            published: tell_published,
            leave: told_leave,
        };
        let (run, options, story) = (run.clone(), options.clone(), Arc::clone(story));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(live(&run, &options, &story, orders)),
                Err(error) => Err(error.into()),
            };
            // Nobody listens when the run has failed elsewhere.
            let _ = tell_end.send(result);
        });
        Self {
            ready: Some(ready),
            spans,
            published,
            witnesses: Witnesses { leave, end },
        }
    }

    /// Waits until all are there.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let Some(ready) = self.ready.take() else {
            return Ok(());
        };
        match ready.await {
            Ok(()) => Ok(()),
            Err(_) => self.witnesses.failure().await,
        }
    }

    /// Publishes from `start` until `end`. One after another.
    pub(super) async fn publish(&mut self, start: Instant, end: Instant) -> Result<(), Failure> {
        match self.spans.send((start, end)).await {
            Ok(()) => Ok(()),
            Err(_) => self.witnesses.failure().await,
        }
    }

    /// Waits until all that was published is answered; what became of it. The witnesses stay.
    pub(super) async fn finish(self) -> Result<(Ledger, Witnesses), Failure> {
        let Self {
            spans,
            published,
            mut witnesses,
            ..
        } = self;
        drop(spans);
        match published.await {
            Ok(ledger) => Ok((ledger, witnesses)),
            Err(_) => witnesses.failure().await,
        }
    }
}

impl Witnesses {
    /// Lets all of them leave.
    pub(super) async fn leave(self) -> Testimony {
        // A thread that is gone has said why.
        let _ = self.leave.send(());
        self.end.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn failure<T>(&mut self) -> Result<T, Failure> {
        match (&mut self.end).await {
            Ok(Err(failure)) => Err(failure),
            _ => Err(gone()),
        }
    }
}

fn gone() -> Failure {
    Failure::run("the witnesses are gone")
}

async fn live(run: &Run, options: &Options, story: &Arc<Story>, mut orders: Orders) -> Testimony {
    let (own, same) = options.witnesses(run.share());
    let rate = run.share().rate(run.plan().load.connect_rate);
    let mut swarm = Swarm::empty(run);
    for (numbers, part) in [(own, Part::WitnessApart), (same, Part::WitnessAmong)] {
        let client = |number| Client::new(run, options, story, part, number);
        swarm.add(numbers, rate, client).await?;
    }
    let feed = feed(run, options);
    let mut publisher = Publisher::connect(run).await?;
    // Nobody listens when the run has failed elsewhere, here and below.
    let _ = orders.ready.send(());
    while let Some((start, end)) = orders.spans.recv().await {
        publisher.drive(&feed, start, end).await?;
    }
    let _ = orders.published.send(publisher.finish().await);
    let _ = orders.leave.await;
    Ok(swarm.finish().await)
}

fn feed(run: &Run, options: &Options) -> Feed {
    let channel = |index: usize| {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        (number, run.channel(index).into())
    };
    Feed {
        channels: options.feed().map(channel).collect(),
        schedule: Schedule::new(run.plan().load.rate, run.plan().load.burst).part(run.share()),
    }
}
