//! A client that listens to one channel.

use std::collections::BTreeMap;

use campanile_client::Closed;
use campanile_common::message::{Publication, SubscribeRequest};

use crate::check::{Checker, Findings, Ledger, Start};
use crate::client::{Listener, Next};
use crate::payload;
use crate::run::Run;
use crate::scenario::arrivals::Arrivals;
use crate::scenario::steady::delivered;
use crate::{Promise, Violation};

/// Clients that were slow on purpose, by how their connections ended: with the code for that, with none, with another.
pub(in super::super) const TOLD: &str = "slow_told";
pub(in super::super) const CUT: &str = "slow_cut";
pub(in super::super) const OTHERWISE: &str = "slow_otherwise";

/// The code with which a client is disconnected that is slow.
const SLOW: u32 = 3008;

/// A client that listens to one channel.
pub(in super::super) struct Subscriber {
    run: Run,
    channel: u32,
    checker: Checker,
    /// Where what arrives is counted; `None` for one that is slow on purpose.
    arrived: Option<Arrivals>,
    /// The last number of each publisher that has arrived at one that is slow.
    last: BTreeMap<u16, u64>,
}

impl Subscriber {
    pub(super) fn new(run: &Run, channel: u32, arrived: Option<Arrivals>) -> Self {
        Self {
            run: run.clone(),
            channel,
            checker: Checker::new(channel, Start::Beginning),
            arrived,
            last: BTreeMap::new(),
        }
    }

    /// Whether it does not read.
    pub(in super::super) const fn is_slow(&self) -> bool {
        self.arrived.is_none()
    }

    /// What it found wrong. Who was disconnected because it was slow must have seen everything up to some point.
    pub(super) fn findings(self, ledger: &Ledger, stayed: bool) -> Findings {
        if stayed || !self.is_slow() {
            return self.checker.finish(ledger);
        }
        let mut seen = Ledger::default();
        for (worker, last) in self.last {
            seen.sent(self.channel, worker, last);
        }
        self.checker.finish(&seen)
    }
}

impl Listener for Subscriber {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![SubscribeRequest {
            channel: self.run.channel(self.channel as usize),
            ..SubscribeRequest::default()
        }]
    }

    fn delivered(&mut self, _channel: &str, publication: &Publication) {
        let Some(label) = payload::read(&publication.data) else {
            return;
        };
        let Some(arrived) = &self.arrived else {
            self.checker.arrived(&label);
            self.last.insert(label.worker, label.sequence);
            return;
        };
        arrived.follow(&mut self.checker, &label);
        delivered(&self.run, &label);
    }

    fn closed(&mut self, closed: &Closed) -> Next {
        if self.is_slow() {
            let how = match closed.code {
                SLOW => TOLD,
                // What is between the last message and the end may be lost with the connection, the code among it.
                Closed::BROKEN | Closed::NO_CODE => CUT,
                _ => OTHERWISE,
            };
            self.run.total(how, 1);
        } else {
            let detail = format!("a client that reads was disconnected: {closed}");
            self.run.violation(Violation::new(Promise::Other, detail));
        }
        Next::Stay
    }
}
