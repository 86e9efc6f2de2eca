//! Telling clients that a subscription of theirs is over, so that they do not all come back at once.
//!
//! A shard that is lost takes the streams of many channels with it, and whoever is subscribed to them has to subscribe
//! again. All of them, of all channels, stand in one queue: it is emptied within the spread, evenly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::audience::LossReason;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Membership, Subscriber};

/// Clients are told in steps of this length.
pub(super) const STEP: Duration = Duration::from_millis(10);

/// So many are told in each step at least, that is 1000 a second: so few need not be spread, and wait for nothing.
pub(super) const AT_LEAST: usize = 10;

/// The subscriptions that are over and whose clients do not know it yet.
///
/// Bounded by the gateway's subscriptions: each is over once.
#[derive(Debug)]
pub(super) struct Losses<S> {
    spread: Duration,
    queue: Mutex<Queue<S>>,
}

#[derive(Debug)]
struct Queue<S> {
    batches: VecDeque<Batch<S>>,
    count: usize,
    /// When the last of them is to be told.
    end: Instant,
    /// Whether a task empties it.
    emptied: bool,
}

/// Those of one channel.
#[derive(Debug)]
struct Batch<S> {
    memberships: std::vec::IntoIter<Arc<Membership<S>>>,
    reason: LossReason,
}

impl<S: Subscriber> Losses<S> {
    /// Over how long all of them are told that are lost at once.
    pub(super) fn new(spread: Duration) -> Arc<Self> {
        Arc::new(Self {
            spread,
            queue: Mutex::new(Queue {
                batches: VecDeque::new(),
                count: 0,
                end: Instant::now(),
                emptied: false,
            }),
        })
    }

    /// Takes in subscriptions that have ended. Needs a runtime.
    pub(super) fn add(self: &Arc<Self>, memberships: Vec<Arc<Membership<S>>>, reason: LossReason) {
        if memberships.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        queue.count += memberships.len();
        queue.end = Instant::now() + self.spread;
        queue.batches.push_back(Batch {
            memberships: memberships.into_iter(),
            reason,
        });
        if !std::mem::replace(&mut queue.emptied, true) {
            tokio::spawn(Arc::clone(self).empty());
        }
    }

    async fn empty(self: Arc<Self>) {
        loop {
            let told = self.queue.lock().step(Instant::now());
            if told.is_empty() {
                return;
            }
            for (membership, reason) in told {
                membership.subscriber().lost(&membership, reason);
            }
            tokio::time::sleep(STEP).await;
        }
    }
}

impl<S> Queue<S> {
    /// Those that are told now. None: the queue is empty, and its task ends.
    fn step(&mut self, now: Instant) -> Vec<(Arc<Membership<S>>, LossReason)> {
        let left = self.end.saturating_duration_since(now);
        let steps = usize::try_from(left.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX);
        let count = self.count.div_ceil(steps.max(1)).max(AT_LEAST);
        let mut told = Vec::with_capacity(count.min(self.count));
        while told.len() < count {
            let Some(batch) = self.batches.front_mut() else {
                break;
            };
            match batch.memberships.next() {
                Some(membership) => told.push((membership, batch.reason)),
                None => drop(self.batches.pop_front()),
            }
        }
        self.count -= told.len();
        if told.is_empty() {
            self.batches = VecDeque::new();
            self.emptied = false;
        }
        told
    }
}
