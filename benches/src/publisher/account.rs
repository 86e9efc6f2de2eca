//! What becomes of the publications of one connection.

use std::time::Duration;

use super::Item;
use crate::check::{Fate, Ledger};
use crate::payload::Label;
use crate::run::Run;

/// Keeps account of one connection's publications.
#[derive(Debug)]
pub(super) struct Account {
    run: Run,
    ledger: Ledger,
}

impl Account {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            ledger: Ledger::default(),
        }
    }

    /// How long answers are waited for when there is nothing more to publish.
    pub(super) fn patience(&self) -> Duration {
        self.run.plan().load.settle
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

    pub(super) fn finish(self) -> Ledger {
        self.ledger
    }
}
