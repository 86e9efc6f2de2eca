//! The queue before a connection: bounded in requests and in bytes, and closed while the connection is down.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::context::TaskContext;
use crate::shard::ShardError;

/// The end into which requests are submitted.
pub(super) struct Queue<W, A> {
    sender: mpsc::Sender<Request<W, A>>,
    waiting: Arc<AtomicUsize>,
    context: TaskContext,
    slot: usize,
}

/// The end at which the connection's task takes them.
pub(super) struct Requests<W, A> {
    receiver: mpsc::Receiver<Request<W, A>>,
    context: TaskContext,
    slot: usize,
}

/// One caller's work.
pub(super) struct Request<W, A> {
    pub(super) work: W,
    /// When the caller is told, whatever has become of it.
    pub(super) deadline: Instant,
    answer: oneshot::Sender<Result<A, ShardError>>,
    reserved: Reserved,
}

/// The queue before the connection that reports its state in `slot`.
pub(super) fn queue<W: Send, A: Send>(context: &TaskContext, slot: usize) -> (Queue<W, A>, Requests<W, A>) {
    let (sender, receiver) = mpsc::channel(context.options.queue_requests.max(1));
    let queue = Queue {
        sender,
        waiting: Arc::default(),
        context: context.clone(),
        slot,
    };
    (
        queue,
        Requests {
            receiver,
            context: context.clone(),
            slot,
        },
    )
}

impl<W: Send + 'static, A: Send + 'static> Queue<W, A> {
    /// Queues work of `bytes` bytes now; resolves to its answer, or to why there is none.
    pub(super) fn submit(
        &self,
        work: W,
        bytes: usize,
    ) -> impl Future<Output = Result<A, ShardError>> + Send + use<W, A> {
        let queued = self.enter(work, bytes);
        // The task answers every request that it is handed, and ends only with its queue closed and empty.
        async move { queued?.await.unwrap_or_else(|_| Err(closed())) }
    }

    fn enter(&self, work: W, bytes: usize) -> Result<oneshot::Receiver<Result<A, ShardError>>, ShardError> {
        if self.context.intent.borrow().closed {
            return Err(closed());
        }
        self.context.health.check(self.slot)?;
        let reserved = Reserved::take(&self.waiting, bytes, self.context.options.queue_bytes)?;
        let (answer, receiver) = oneshot::channel();
        let deadline = self.context.connector.deadline();
        match self.sender.try_send(Request {
            work,
            deadline,
            answer,
            reserved,
        }) {
            Ok(()) => Ok(receiver),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ShardError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(closed()),
        }
    }
}

impl<W: Send, A: Send> Requests<W, A> {
    /// Adds what waits, `limit` at most, to `batch`; waits while nothing does. Cancel safe.
    pub(super) async fn take(&mut self, batch: &mut Vec<Request<W, A>>, limit: usize) -> usize {
        self.receiver.recv_many(batch, limit).await
    }

    /// Awaits `future`; requests that come meanwhile are told why they cannot be carried out.
    pub(super) async fn refuse_during<T>(&mut self, future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                Some(request) = self.receiver.recv() => {
                    let why = self.context.health.check(self.slot).err();
                    request.answer(Err(why.unwrap_or_else(|| ShardError::Unavailable("connecting".to_owned()))));
                }
            }
        }
    }

    /// Takes nothing more, and refuses what waits.
    pub(super) async fn close(mut self) {
        self.receiver.close();
        while let Some(request) = self.receiver.recv().await {
            request.answer(Err(closed()));
        }
    }
}

impl<W, A> Request<W, A> {
    /// Gives the budget back, then the answer: whoever has it finds room for the next request.
    pub(super) fn answer(self, answer: Result<A, ShardError>) {
        drop(self.reserved);
        // Nobody may wait for it any more.
        let _ = self.answer.send(answer);
    }

    /// Splits the requests whose time is over off, and tells them.
    pub(super) fn refuse_late(requests: Vec<Self>, now: Instant) -> Vec<Self> {
        let (late, requests): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| request.deadline <= now);
        for request in late {
            let words = "the request did not get its turn in time".to_owned();
            request.answer(Err(ShardError::Unavailable(words)));
        }
        requests
    }
}

fn closed() -> ShardError {
    ShardError::Unavailable("the shard is closed".to_owned())
}

/// Bytes of the queue's budget, given back with the answer.
struct Reserved {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Reserved {
    /// Takes `bytes` of a budget; a request that is larger than all of it still passes alone.
    fn take(waiting: &Arc<AtomicUsize>, bytes: usize, limit: usize) -> Result<Self, ShardError> {
        let before = waiting.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Self {
            waiting: Arc::clone(waiting),
            bytes,
        };
        if before == 0 || before.saturating_add(bytes) <= limit {
            return Ok(reserved);
        }
        Err(ShardError::Overloaded)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back_whatever_becomes_of_the_request() {
        let waiting = Arc::default();
        let huge = Reserved::take(&waiting, 500, 100);
        assert!(huge.is_ok(), "alone it passes");
        assert!(matches!(
            Reserved::take(&waiting, 1, 100),
            Err(ShardError::Overloaded)
        ));
        drop(huge);
        let half = Reserved::take(&waiting, 50, 100);
        assert!(half.is_ok() && Reserved::take(&waiting, 51, 100).is_err());
        assert!(Reserved::take(&waiting, 50, 100).is_ok());
        drop(half);
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}
