//! Publications on their way to the shard that owns their partition.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::{ChannelName, Epoch};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::drive::new_epoch;
use super::line::{Destination, Entered, Full, NoPlace, Number, Place, Probe, Turn, Verdict};
use super::opened::OpenedShard;
use super::ways::{Ways, may_ask_another, no_owner};
use super::{Core, Router, RouterError};
use crate::audience::Audience;
use crate::partition::Partition;
use crate::publication::Publication;
use crate::shard::{
    IdempotencyKey, PublishOutcome, PublishRequest, ShardError, ShardFuture, StreamLimits, Version,
};
use crate::topology::Generation;

/// A publication and how it is to be accepted.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The channel.
    pub channel: ChannelName,
    /// What to publish; its offset is assigned by the shard.
    pub publication: Publication,
    /// The stream to append to; `None` only fans out.
    pub stream: Option<StreamLimits>,
    /// Accept the publication once only under this key. Also makes it safe to retry after a lost answer.
    pub idempotency: Option<IdempotencyKey>,
    /// Accept it only if newer than what was published before.
    pub version: Option<Version>,
}

impl<A: Audience> Router<A> {
    /// Publishes. It has its place among the publications of its partition when this returns; the future brings the
    /// answer. While the partition has no reachable owner it waits, with those behind it, for `publish_wait` at most.
    ///
    /// A future that is dropped takes nothing back that was handed to a shard already.
    ///
    /// # Errors
    ///
    /// [`RouterError::Shard`] if the owner did not accept it, or did not answer: whether it was accepted is then
    /// unknown. In all other cases it was not.
    pub fn publish(
        &self,
        publish: Publish,
    ) -> impl Future<Output = Result<PublishOutcome, RouterError>> + Send + 'static {
        let core = Arc::clone(&self.core);
        let partition = Partition::of(&publish.channel);
        let request = PublishRequest {
            channel: publish.channel,
            publication: publish.publication,
            stream: publish.stream,
            idempotency: publish.idempotency,
            version: publish.version,
            new_epoch: Epoch::default(),
        };
        let way = core.way(partition);
        let entered = core.lines.enter(partition, &request, way.destination, |request| {
            way.submit(request)
        });
        let wait = core.config.publish_wait;
        // Made now, so that the place is given up even if the future is never polled.
        let entered = match entered {
            Ok(entered) => Ok(Entry::new(core, &way, entered)),
            Err(full) => {
                core.metrics.published(Duration::ZERO, false);
                Err(core.overloaded(&full))
            }
        };
        let now = Instant::now();
        async move {
            let (mut entry, place) = entered?;
            let deadline = matches!(place, Place::Waiting(_)).then(|| now + wait);
            let published = entry.finish(place, request, deadline).await;
            entry.core.metrics.published(now.elapsed(), published.is_ok());
            published
        }
    }
}

/// The shard that takes a partition's publications now.
struct Way {
    partition: Partition,
    shard: Option<Arc<OpenedShard>>,
    destination: Destination,
    source_of: Option<Generation>,
}

impl Way {
    /// Hands a publication to the shard, now. With an epoch of its own each time: after a lost answer one shard may have
    /// begun the stream with it, and another that is asked next must not begin another stream under the same name.
    fn submit(&self, request: PublishRequest) -> ShardFuture<PublishOutcome> {
        let request = PublishRequest {
            new_epoch: new_epoch(),
            ..request
        };
        match &self.shard {
            Some(opened) => opened.shard.publish(self.partition, request),
            None => Box::pin(std::future::ready(Err(no_owner()))),
        }
    }
}

/// A publication's place; gives it up when dropped.
struct Entry<A: Audience> {
    core: Arc<Core<A>>,
    partition: Partition,
    number: Number,
    /// If it was submitted at the call, to the source of a move: which one.
    source_of: Option<Generation>,
    /// What the line is told in the end.
    verdict: Verdict,
}

impl<A: Audience> Drop for Entry<A> {
    fn drop(&mut self) {
        self.core.lines.leave(self.partition, self.number, self.verdict);
    }
}

impl<A: Audience> Entry<A> {
    fn new(core: Arc<Core<A>>, way: &Way, entered: Entered) -> (Self, Place) {
        if let Some(wake) = entered.closed {
            core.spawn(probe(Arc::clone(&core), way.partition, wake));
        }
        let submitted = matches!(entered.place, Place::Submitted(_));
        let entry = Self {
            core,
            partition: way.partition,
            number: entered.number,
            source_of: way.source_of.filter(|_| submitted),
            verdict: Verdict::Abandoned,
        };
        (entry, entered.place)
    }

    async fn finish(
        &mut self,
        mut place: Place,
        mut request: PublishRequest,
        mut deadline: Option<Instant>,
    ) -> Result<PublishOutcome, RouterError> {
        let mut error = RouterError::NoOwner;
        loop {
            let answer = match place {
                Place::Submitted(answer) => answer,
                Place::Waiting(turn) => {
                    let until = deadline.unwrap_or_else(Instant::now);
                    let Some(turn) = turn_by(until, turn).await else {
                        if Instant::now() >= until {
                            self.core.metrics.publish_timeouts.increment(1);
                        }
                        return Err(error);
                    };
                    self.core.metrics.publish_retries.increment(1);
                    request = turn.1;
                    turn.0
                }
            };
            let refusal = match answer.await {
                Ok(outcome) => {
                    self.verdict = Verdict::Served;
                    return Ok(outcome);
                }
                Err(refusal) => refusal,
            };
            let source_of = self.source_of.take();
            if matches!(refusal, ShardError::NotOwner) {
                self.core.metrics.stale_publications.increment(1);
                self.core.refused(self.partition, source_of);
            }
            let until = *deadline.get_or_insert_with(|| Instant::now() + self.core.config.publish_wait);
            if !may_retry(&refusal, &request) || Instant::now() >= until {
                self.verdict = verdict(&refusal);
                return Err(refusal.into());
            }
            error = refusal.into();
            place = match self.wait_again(&request) {
                Ok(place) => place,
                Err(NoPlace::Overtaken) => return Err(error),
                Err(NoPlace::Full(full)) => return Err(self.core.overloaded(&full)),
            };
        }
    }

    fn wait_again(&self, request: &PublishRequest) -> Result<Place, NoPlace> {
        let waiting = self.core.lines.wait(self.partition, self.number, request.clone());
        let (turn, was_open) = waiting?;
        if let Some(wake) = was_open {
            self.core
                .spawn(probe(Arc::clone(&self.core), self.partition, wake));
        }
        Ok(Place::Waiting(turn))
    }
}

/// A publication's turn, if it comes in time.
async fn turn_by(until: Instant, mut waiting: oneshot::Receiver<Turn>) -> Option<Turn> {
    if let Ok(turn) = timeout_at(until, &mut waiting).await {
        return turn.ok();
    }
    // It may have been handed to the shard at this very moment; then its answer is what counts.
    waiting.close();
    waiting.try_recv().ok()
}

/// Whether it is safe, and may help, to send the same publication again.
fn may_retry(error: &ShardError, request: &PublishRequest) -> bool {
    match error {
        ShardError::NotOwner | ShardError::Unavailable(_) => true,
        ShardError::Unanswered(_) => request.idempotency.is_some(),
        ShardError::Overloaded | ShardError::Refused(_) | ShardError::Malformed(_) => false,
    }
}

/// What a final error says about the partition: an answer of whatever kind means that it is served.
fn verdict(error: &ShardError) -> Verdict {
    match error {
        ShardError::Refused(_) | ShardError::Malformed(_) => Verdict::Served,
        ShardError::NotOwner
        | ShardError::Unavailable(_)
        | ShardError::Unanswered(_)
        | ShardError::Overloaded => Verdict::TurnedAway,
    }
}

impl<A: Audience> Core<A> {
    fn way(&self, partition: Partition) -> Way {
        let ways = self.ways(partition);
        let destination = ways.first.as_ref().map(|opened| opened.destination());
        Way {
            partition,
            shard: ways.first,
            destination: destination.unwrap_or_default(),
            source_of: ways.source_of,
        }
    }

    /// Hands a publication to the shards that may take it, to the first one now and to the other if that refuses. For
    /// one that nothing else of its partition can overtake.
    fn attempt(
        self: &Arc<Self>,
        partition: Partition,
        request: PublishRequest,
    ) -> ShardFuture<PublishOutcome> {
        let request = PublishRequest {
            new_epoch: new_epoch(),
            ..request
        };
        let Ways {
            first,
            second,
            source_of,
        } = self.ways(partition);
        let Some(first) = first else {
            return Box::pin(std::future::ready(Err(no_owner())));
        };
        let Some(second) = second else {
            return first.shard.publish(partition, request);
        };
        let answer = first.shard.publish(partition, request.clone());
        let core = Arc::clone(self);
        Box::pin(async move {
            match answer.await {
                Err(ShardError::NotOwner) => {
                    core.metrics.stale_publications.increment(1);
                    core.refused(partition, source_of);
                }
                Err(error) if may_ask_another(&error) => {}
                answered => return answered,
            }
            second.shard.publish(partition, request).await
        })
    }

    fn overloaded(&self, _: &Full) -> RouterError {
        self.metrics.publish_overflows.increment(1);
        RouterError::Overloaded
    }
}

/// Tries the foremost of a partition's line until it gets through, then lets all the others follow.
async fn probe<A: Audience>(core: Arc<Core<A>>, partition: Partition, wake: Arc<tokio::sync::Notify>) {
    let mut pauses = core.pauses(partition);
    let mut applied = core.applied.subscribe();
    loop {
        applied.mark_unchanged();
        match core
            .lines
            .probe(partition, |request| core.attempt(partition, request))
        {
            Probe::Open => return,
            Probe::NotYet => {
                wake.notified().await;
                continue;
            }
            Probe::Sent => {}
        }
        let verdict = loop {
            match core.lines.verdict(partition) {
                Some(verdict) => break verdict,
                None => wake.notified().await,
            }
        };
        match verdict {
            Verdict::Served => {
                let way = core.way(partition);
                return core
                    .lines
                    .open(partition, way.destination, |request| way.submit(request));
            }
            Verdict::Abandoned => continue,
            Verdict::TurnedAway => {}
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.pause()) => {}
            // Fails only when the router is gone, and this task with it.
            _ = applied.changed() => pauses = core.pauses(partition),
        }
    }
}
