//! Clients that come and go.

use std::ops::Range;
use std::time::Duration;

use campanile_common::message::{Publication, SubscribeRequest};

use crate::Failure;
use crate::check::{Checker, Ledger, Start};
use crate::client::{Listener, Member, Order, Swarm};
use crate::payload;
use crate::run::Run;
use crate::scenario::steady::report;

/// Latency of those who come, until they are connected and subscribed.
pub(super) const ARRIVAL: &str = "arrival";

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With a goodbye.
    Politely,
    /// Without a word.
    Abruptly,
    /// It stays connected and says nothing any more, not even to pings.
    Silently,
}

impl Way {
    const fn of(client: usize) -> Self {
        match client % 3 {
            0 => Self::Politely,
            1 => Self::Abruptly,
            _ => Self::Silently,
        }
    }

    /// The counter of those who left so.
    const fn counter(self) -> &'static str {
        match self {
            Self::Politely => "left_politely",
            Self::Abruptly => "left_abruptly",
            Self::Silently => "left_silently",
        }
    }
}

/// Lets these clients come, stay, and leave each in its way.
pub(super) async fn visit(run: Run, numbers: Range<usize>, stay: Duration) -> Result<(), Failure> {
    let mut swarm = Swarm::empty(&run);
    let rate = run.share().rate(run.plan().load.connect_rate);
    swarm
        .add(numbers, rate, |number| Visitor::new(&run, number))
        .await?;
    tokio::time::sleep(stay).await;
    for member in swarm.members() {
        leave(&run, member).await;
    }
    // Those who are silent are noticed, or not, while others come; at the end of their time they are gone in any case.
    tokio::time::sleep(stay).await;
    let nothing_is_known_to_be_missing = Ledger::default();
    for ended in swarm.finish().await {
        report(
            &run,
            ended.number,
            &ended.listener.checker.finish(&nothing_is_known_to_be_missing),
        );
    }
    Ok(())
}

async fn leave(run: &Run, member: &Member) {
    let way = Way::of(member.number);
    let order = match way {
        Way::Politely => Order::Leave,
        Way::Abruptly => Order::Break,
        Way::Silently => Order::Pause,
    };
    // Whom the server has disconnected has left already.
    if member.order(order).await.is_ok() {
        run.count(way.counter(), 1);
    }
}

/// A client that stays for a while.
struct Visitor {
    run: Run,
    channel: usize,
    checker: Checker,
}

impl Visitor {
    fn new(run: &Run, number: usize) -> Self {
        // One in two is where publishing goes on, the others in channels of which they are among the few.
        let channel = if number.is_multiple_of(2) {
            0
        } else {
            1 + number % run.plan().load.channels
        };
        Self {
            run: run.clone(),
            channel,
            checker: Checker::new(0, Start::FirstSeen),
        }
    }
}

impl Listener for Visitor {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![SubscribeRequest {
            channel: self.run.channel(self.channel),
            ..SubscribeRequest::default()
        }]
    }

    fn ready(&mut self, took: Duration) {
        self.run.latency(ARRIVAL, took);
    }

    fn delivered(&mut self, _channel: &str, publication: &Publication) {
        if let Some(label) = payload::read(&publication.data) {
            self.checker.arrived(&label);
            self.run.count("visitors_received", 1);
        }
    }
}
