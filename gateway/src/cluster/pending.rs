//! Who waits for which answers.

use std::collections::HashMap;
use std::sync::Arc;

use campanile_shard_router::store::GatewayId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::message::Answer;

/// Commands that may wait for answers at a time; further ones are refused.
const MAX_PENDING: usize = 1024;

/// Answers that may wait for one asker: more than a cluster has gateways. What does not fit is as good as unanswered.
const MAX_ANSWERS: usize = 256;

type From = (GatewayId, Answer);

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Pending(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    last_id: u64,
    waiting: HashMap<u64, mpsc::Sender<From>>,
}

/// One who waits. Dropping it ends the waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    id: u64,
    answers: mpsc::Receiver<From>,
    pending: Arc<Mutex<Entries>>,
}

impl Pending {
    /// Begins to wait; `None`: too many do.
    pub(super) fn begin(&self) -> Option<Waiting> {
        let mut entries = self.0.lock();
        if entries.waiting.len() >= MAX_PENDING {
            return None;
        }
        entries.last_id += 1;
        let id = entries.last_id;
        let (sender, answers) = mpsc::channel(MAX_ANSWERS);
        entries.waiting.insert(id, sender);
        Some(Waiting {
            id,
            answers,
            pending: Arc::clone(&self.0),
        })
    }

    /// An answer has come. One that nobody waits for any more is dropped.
    pub(super) fn resolve(&self, id: u64, from: GatewayId, answer: Answer) {
        if let Some(waiting) = self.0.lock().waiting.get(&id) {
            // A full queue: the asker will say that this gateway has not answered.
            let _ = waiting.try_send((from, answer));
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl Waiting {
    /// The number of the request.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Option<From> {
        self.answers.recv().await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pending.lock().waiting.remove(&self.id);
    }
}
