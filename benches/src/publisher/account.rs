//! What becomes of the publications of one connection.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Item;
use crate::check::{Fate, Ledger};
use crate::payload::{self, Label};
use crate::run::Run;

/// Until when answers are waited for; `None` as long as more may be published.
pub(super) type End = Option<Instant>;

/// Keeps account of one connection's publications.
#[derive(Debug)]
pub(super) struct Account {
    run: Run,
    end: watch::Receiver<End>,
    ledger: Ledger,
}

impl Account {
    pub(super) fn new(run: Run, end: watch::Receiver<End>) -> Self {
        Self {
            run,
            end,
            ledger: Ledger::default(),
        }
    }

    /// Ends when the time for answers is over, whatever is still waiting to be sent.
    pub(super) fn over(&self) -> impl Future<Output = ()> + use<> {
        let mut end = self.end.clone();
        async move {
            // Whoever has gone without a word waits for nothing.
            let deadline = match end.wait_for(Option::is_some).await {
                Ok(deadline) => *deadline,
                Err(_) => None,
            };
            if let Some(deadline) = deadline {
                sleep_until(deadline).await;
            }
        }
    }

    /// How many publications may go into one request.
    pub(super) fn batch(&self) -> usize {
        self.run.plan().load.batch.max(1)
    }

    /// How many requests may be without an answer: `most`, or as few as keep the server busy where there is no rate.
    pub(super) fn window(&self, most: usize, few: usize) -> usize {
        if self.run.plan().load.rate > 0.0 {
            most
        } else {
            few
        }
    }

    /// Bytes of each payload.
    pub(super) fn payload_size(&self) -> usize {
        self.run.plan().load.size.max(payload::MIN_SIZE)
    }

    /// What a publication says.
    pub(super) fn payload(&self, label: &Label) -> Bytes {
        payload::write(label, self.run.plan().load.size)
    }

    /// It was handed to the network.
    pub(super) fn sent(&mut self, item: &Item) {
        let Label {
            channel,
            worker,
            sequence,
            intended,
        } = item.label;
        self.ledger.sent(channel, worker, sequence);
        if self.run.measures(intended) {
            self.run
                .latency("lateness", self.run.clock().now().since(intended));
        }
    }

    /// It was refused, for this reason.
    pub(super) fn refused(&mut self, label: &Label, reason: &str) {
        self.ledger.explain(reason);
        self.settled(label, Fate::Refused);
    }

    /// This became of it.
    pub(super) fn settled(&mut self, label: &Label, fate: Fate) {
        self.ledger
            .settled(label.channel, label.worker, label.sequence, fate);
        match fate {
            Fate::Accepted => {
                if self.run.measures(label.intended) {
                    self.run
                        .latency("publish", self.run.clock().now().since(label.intended));
                }
                self.run.count("published", 1);
                self.run.series("published", 1);
            }
            Fate::Refused => self.run.count("publish_refused", 1),
            Fate::Unknown => self.run.count("publish_unknown", 1),
        }
    }

    /// What became of everything. What still waits, `left` and in the queue, was not published, and nobody waits for it.
    pub(super) fn finish(self, left: Option<&Item>, mut items: mpsc::Receiver<Item>) -> Ledger {
        let mut unsent = u64::from(left.is_some());
        while items.try_recv().is_ok() {
            unsent += 1;
        }
        if unsent > 0 {
            self.run.total("publish_unsent", unsent);
        }
        self.ledger
    }
}
