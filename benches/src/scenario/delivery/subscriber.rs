//! A client that listens to one channel.

use campanile_client::Closed;
use campanile_common::message::{Publication, SubscribeRequest};

use crate::check::{Findings, Ledger, Start};
use crate::client::{Listener, Next};
use crate::run::Run;
use crate::scenario::arrivals::Arrivals;
use crate::scenario::one_channel::OneChannel;
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
    channel: OneChannel,
    /// Whether it does not read, on purpose.
    slow: bool,
}

impl Subscriber {
    /// In the channel of this index; what arrives is counted, unless it is slow on purpose.
    pub(super) fn new(run: &Run, channel: usize, arrived: Option<&Arrivals>) -> Self {
        let channel = OneChannel::new(run, channel, Start::Beginning);
        Self {
            run: run.clone(),
            slow: arrived.is_none(),
            channel: match arrived {
                Some(arrived) => channel.counted_in(arrived),
                None => channel,
            },
        }
    }

    /// What it found wrong. Who was disconnected because it was slow must have seen everything up to some point.
    pub(super) fn findings(self, ledger: &Ledger, stayed: bool) -> Findings {
        let checker = self.channel.into_checker();
        if stayed || !self.slow {
            checker.finish(ledger)
        } else {
            checker.finish_early(ledger)
        }
    }
}

impl Listener for Subscriber {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![self.channel.subscription()]
    }

    fn delivered(&mut self, channel: &str, publication: &Publication) {
        let label = self.channel.take(channel, publication);
        if let Some(label) = label.filter(|_| !self.slow) {
            delivered(&self.run, &label);
        }
    }

    fn closed(&mut self, closed: &Closed) -> Next {
        if self.slow {
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
