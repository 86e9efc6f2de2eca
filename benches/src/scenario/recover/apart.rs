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
use crate::publisher::{Feed, Publisher};
use crate::run::Run;

/// From when until when to publish.
type Span = (Instant, Instant);

/// What there is in the end.
type Testimony = Result<(Ledger, Vec<Ended<Client>>), Failure>;

/// A thread with the witnesses and the publisher of this worker.
pub(super) struct Apart {
    ready: Option<oneshot::Receiver<()>>,
    spans: mpsc::Sender<Span>,
    end: oneshot::Receiver<Testimony>,
}

impl Apart {
    /// Begins to connect them.
    pub(super) fn start(run: &Run, options: &Options, story: &Arc<Story>) -> Self {
        let (tell_ready, ready) = oneshot::channel();
        let (spans, orders) = mpsc::channel(1);
        let (tell_end, end) = oneshot::channel();
        let (run, options, story) = (run.clone(), options.clone(), Arc::clone(story));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(live(&run, &options, &story, (tell_ready, orders))),
                Err(error) => Err(error.into()),
            };
            // Nobody listens when the run has failed elsewhere.
            let _ = tell_end.send(result);
        });
        Self {
            ready: Some(ready),
            spans,
            end,
        }
    }

    /// Waits until all are there.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let Some(ready) = self.ready.take() else {
            return Ok(());
        };
        match ready.await {
            Ok(()) => Ok(()),
            Err(_) => self.failure().await,
        }
    }

    /// Publishes from `start` until `end`. One after another.
    pub(super) async fn publish(&mut self, start: Instant, end: Instant) -> Result<(), Failure> {
        match self.spans.send((start, end)).await {
            Ok(()) => Ok(()),
            Err(_) => self.failure().await,
        }
    }

    /// Waits until all that was published is answered, and ends the thread.
    pub(super) async fn finish(self) -> Testimony {
        drop(self.spans);
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

async fn live(
    run: &Run,
    options: &Options,
    story: &Arc<Story>,
    (ready, mut spans): (oneshot::Sender<()>, mpsc::Receiver<Span>),
) -> Testimony {
    let (own, same) = options.witnesses(run.share());
    let rate = run.share().rate(run.plan().load.connect_rate);
    let mut swarm = Swarm::empty(run);
    for (numbers, part) in [(own, Part::WitnessApart), (same, Part::WitnessAmong)] {
        let client = |number| Client::new(run, story, part, (number, options.channel_of(number)));
        swarm.add(numbers, rate, client).await?;
    }
    let channel = |index: usize| {
        (
            u32::try_from(index).unwrap_or(u32::MAX),
            run.channel(index).into(),
        )
    };
    let feed = Feed {
        channels: options.feed().map(channel).collect(),
        rate: run.share().rate(run.plan().load.rate),
        burst: run.plan().load.burst,
    };
    let mut publisher = Publisher::connect(run).await?;
    // Nobody listens when the run has failed elsewhere.
    let _ = ready.send(());
    while let Some((start, end)) = spans.recv().await {
        publisher.drive(&feed, start, end).await?;
    }
    let ledger = publisher.finish().await;
    Ok((ledger, swarm.finish().await))
}
