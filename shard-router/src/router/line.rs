//! The lines in which publications wait for their partition's owner: one line per partition, in call order.
//!
//! While nobody waits, a publication is handed to the shard at the call. The first one that is turned away blocks its
//! partition: it and all that come after it wait in the line, and a task probes with the foremost until it gets
//! through; then all the others are handed over at once, in order. A publication keeps its number through all of
//! this, so it is still before its successors when it has to wait again. One that was turned away while a successor,
//! which had already been handed over, was served can no longer keep its place: its publisher is told.
//!
//! What is at one shard unanswered also blocks the line for another one: two shards know nothing of each other's order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::RouterConfig;
use crate::partition::Partition;
use crate::shard::{PublishOutcome, PublishRequest, ShardFuture};

/// A publication's number in its partition: call order.
pub(super) type Number = u64;

/// Tells the shards apart to which publications are handed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Destination(pub(super) usize);

/// What a waiting publication is given when its turn comes: the pending answer, and itself for another attempt.
pub(super) type Turn = (ShardFuture<PublishOutcome>, PublishRequest);

/// The lines of all partitions.
pub(super) struct Lines {
    lines: Box<[Mutex<Line>]>,
    waiting_bytes: AtomicUsize,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Line {
    last: Number,
    /// The latest that was served.
    served: Number,
    /// Handed to a shard and not answered yet, ascending.
    in_flight: VecDeque<Number>,
    /// The shard to which those were handed.
    destination: Destination,
    blocked: Option<Blocked>,
}

#[derive(Default)]
struct Blocked {
    waiting: BTreeMap<Number, Waiting>,
    probe: Option<Number>,
    verdict: Option<Verdict>,
    /// Wakes the probing task.
    wake: Arc<Notify>,
}

struct Waiting {
    request: PublishRequest,
    bytes: usize,
    turn: oneshot::Sender<Turn>,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The shard serves the partition.
    Served,
    /// It does not, or did not say so.
    TurnedAway,
    /// The publisher went away before the answer.
    Abandoned,
}

/// A publication that has its place.
pub(super) struct Entered {
    pub(super) number: Number,
    pub(super) place: Place,
    /// The line was open until now and is not any more: a task has to probe, which this wakes.
    pub(super) closed: Option<Arc<Notify>>,
}

/// Where a publication is.
pub(super) enum Place {
    /// At the shard.
    Submitted(ShardFuture<PublishOutcome>),
    /// In the line.
    Waiting(oneshot::Receiver<Turn>),
}

/// What a probing task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// The foremost is on its way.
    Sent,
    /// A publication that was handed over before has not been answered yet.
    NotYet,
    /// Nobody waits any more; the line is open.
    Open,
}

/// The line is full.
#[derive(Debug)]
pub(super) struct Full;

/// Why a publication that was turned away does not wait.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// The line is full.
    Full(Full),
    /// A later one has been served meanwhile.
    Overtaken,
}

impl Lines {
    pub(super) fn new(config: &RouterConfig) -> Self {
        Self {
            lines: Partition::all().map(|_| Mutex::default()).collect(),
            waiting_bytes: AtomicUsize::new(0),
            max_messages: config.publish_queue_messages,
            max_bytes: config.publish_queue_bytes,
        }
    }

    /// Bytes of the publications that wait, in all lines together.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Takes a publication in: submitted at once, or in line behind those that wait, or that another shard than
    /// `destination` has not answered.
    pub(super) fn enter(
        &self,
        partition: Partition,
        request: &PublishRequest,
        destination: Destination,
        submit: impl FnOnce(PublishRequest) -> ShardFuture<PublishOutcome>,
    ) -> Result<Entered, Full> {
        let mut line = self.line(partition).lock();
        line.last += 1;
        let number = line.last;
        let follows = line.in_flight.is_empty() || line.destination == destination;
        if line.blocked.is_none() && follows {
            line.destination = destination;
            line.in_flight.push_back(number);
            let place = Place::Submitted(submit(request.clone()));
            return Ok(Entered {
                number,
                place,
                closed: None,
            });
        }
        let (waiting, closed) = self.stand(&mut line, number, request.clone())?;
        Ok(Entered {
            number,
            place: Place::Waiting(waiting),
            closed,
        })
    }

    /// Puts a publication that was turned away (back) in line. With the signal that the line was open until now: then
    /// a task has to probe.
    pub(super) fn wait(
        &self,
        partition: Partition,
        number: Number,
        request: PublishRequest,
    ) -> Result<(oneshot::Receiver<Turn>, Option<Arc<Notify>>), NoPlace> {
        let mut line = self.line(partition).lock();
        if number < line.served {
            return Err(NoPlace::Overtaken);
        }
        let stands = self.stand(&mut line, number, request);
        if let Some(blocked) = &mut line.blocked {
            blocked.answered(number, Verdict::TurnedAway);
        }
        line.landed(number);
        stands.map_err(NoPlace::Full)
    }

    /// Puts a publication in line, and closes the line if it was open.
    fn stand(
        &self,
        line: &mut Line,
        number: Number,
        request: PublishRequest,
    ) -> Result<(oneshot::Receiver<Turn>, Option<Arc<Notify>>), Full> {
        let was_open = line.blocked.is_none();
        let blocked = line.blocked.get_or_insert_default();
        let joined = self.join(blocked, number, request);
        let wake = Arc::clone(&blocked.wake);
        if joined.is_err() && was_open {
            line.blocked = None;
        }
        Ok((joined?, was_open.then_some(wake)))
    }

    fn join(
        &self,
        blocked: &mut Blocked,
        number: Number,
        request: PublishRequest,
    ) -> Result<oneshot::Receiver<Turn>, Full> {
        let bytes = weight(&request);
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if blocked.waiting.len() >= self.max_messages || waiting > self.max_bytes {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Full);
        }
        let (turn, receiver) = oneshot::channel();
        blocked.waiting.insert(number, Waiting { request, bytes, turn });
        Ok(receiver)
    }

    /// The publication has been answered, or its publisher has gone away.
    pub(super) fn leave(&self, partition: Partition, number: Number, verdict: Verdict) {
        let mut line = self.line(partition).lock();
        line.landed(number);
        if verdict == Verdict::Served {
            line.served = line.served.max(number);
        }
        let Some(blocked) = &mut line.blocked else { return };
        if let Some(waiting) = blocked.waiting.remove(&number) {
            self.waiting_bytes.fetch_sub(waiting.bytes, Ordering::Relaxed);
        }
        blocked.answered(number, verdict);
    }

    /// Sends the foremost, once all that were handed over are answered: each of them may turn out to be before it, or
    /// to have overtaken it.
    pub(super) fn probe(
        &self,
        partition: Partition,
        submit: impl FnOnce(PublishRequest) -> ShardFuture<PublishOutcome>,
    ) -> Probe {
        let mut line = self.line(partition).lock();
        let Line {
            in_flight,
            blocked: slot,
            served,
            ..
        } = &mut *line;
        let Some(blocked) = slot else { return Probe::Open };
        if !in_flight.is_empty() {
            return Probe::NotYet;
        }
        self.drop_overtaken(blocked, *served);
        let Some(first) = blocked.waiting.keys().next().copied() else {
            *slot = None;
            return Probe::Open;
        };
        blocked.verdict = None;
        blocked.probe = Some(first);
        self.hand_over(blocked, in_flight, first, submit);
        Probe::Sent
    }

    /// Those that wait before one that was served get no turn any more.
    fn drop_overtaken(&self, blocked: &mut Blocked, served: Number) {
        let in_time = blocked.waiting.split_off(&served);
        for overtaken in std::mem::replace(&mut blocked.waiting, in_time).into_values() {
            self.waiting_bytes.fetch_sub(overtaken.bytes, Ordering::Relaxed);
        }
    }

    /// The answer to the probe, if it has come.
    pub(super) fn verdict(&self, partition: Partition) -> Option<Verdict> {
        self.line(partition).lock().blocked.as_mut()?.verdict.take()
    }

    /// Hands over all that wait, in order, and opens the line.
    pub(super) fn open(
        &self,
        partition: Partition,
        destination: Destination,
        mut submit: impl FnMut(PublishRequest) -> ShardFuture<PublishOutcome>,
    ) {
        let mut line = self.line(partition).lock();
        line.destination = destination;
        let Some(mut blocked) = line.blocked.take() else {
            return;
        };
        while let Some(number) = blocked.waiting.keys().next().copied() {
            self.hand_over(&mut blocked, &mut line.in_flight, number, &mut submit);
        }
    }

    fn hand_over(
        &self,
        blocked: &mut Blocked,
        in_flight: &mut VecDeque<Number>,
        number: Number,
        submit: impl FnOnce(PublishRequest) -> ShardFuture<PublishOutcome>,
    ) {
        let Some(waiting) = blocked.waiting.remove(&number) else {
            return;
        };
        self.waiting_bytes.fetch_sub(waiting.bytes, Ordering::Relaxed);
        if waiting.turn.is_closed() {
            blocked.answered(number, Verdict::Abandoned);
            return;
        }
        let at = in_flight.partition_point(|earlier| *earlier < number);
        in_flight.insert(at, number);
        let answer = submit(waiting.request.clone());
        // A publisher that goes away just now has its number taken out of the line by its own guard.
        let _ = waiting.turn.send((answer, waiting.request));
    }

    fn line(&self, partition: Partition) -> &Mutex<Line> {
        &self.lines[partition.index()]
    }
}

impl Line {
    fn landed(&mut self, number: Number) {
        if let Ok(index) = self.in_flight.binary_search(&number) {
            self.in_flight.remove(index);
        }
    }
}

impl Blocked {
    fn answered(&mut self, number: Number, verdict: Verdict) {
        if self.probe == Some(number) {
            self.probe = None;
            self.verdict = Some(verdict);
        }
        self.wake.notify_one();
    }
}

/// About what a waiting publication costs in memory.
fn weight(request: &PublishRequest) -> usize {
    const STRUCTURE: usize = 512;
    let tags = &request.publication.tags;
    let tags: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
    let key = request
        .idempotency
        .as_ref()
        .map_or(0, |idempotency| idempotency.key.len());
    STRUCTURE + request.publication.data.len() + request.channel.len() + tags + key
}

#[cfg(test)]
mod tests;
