//! Clients that come and go.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use campanile_client::Closed;
use campanile_common::DisconnectCode;
use campanile_common::message::{Publication, SubscribeRequest};

use super::silence::Silence;
use crate::Failure;
use crate::check::{Checker, Start};
use crate::client::{Ended, Listener, Member, Next, Order, Swarm};
use crate::run::Run;
use crate::scenario::one_channel::OneChannel;
use crate::{Promise, Violation};

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

/// A client that has gone, and what has to be compared with what was published.
pub(super) struct Gone {
    pub(super) number: usize,
    pub(super) seen: Checker,
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

/// Lets these clients come, stay, and leave each in its way; those of them that have not got everything without a doubt.
pub(super) async fn visit(run: Run, numbers: Range<usize>, stay: Duration) -> Result<Vec<Gone>, Failure> {
    let mut swarm = Swarm::empty(&run);
    let rate = run.share().rate(run.plan().load.connect_rate);
    let silence = Arc::new(Silence::default());
    swarm
        .add(numbers, rate, |number| Visitor::new(&run, number, &silence))
        .await?;
    tokio::time::sleep(stay).await;
    let mut silent = 0;
    for member in swarm.members() {
        silent += usize::from(leave(&run, member).await == Some(Way::Silently));
    }
    let noticed = silence.wait(&run, silent).await;
    let mut gone = Vec::new();
    for ended in swarm.finish().await {
        if noticed && Way::of(ended.number) == Way::Silently {
            check_end(&run, &ended);
        }
        let (number, seen) = (ended.number, ended.listener.channel.into_checker());
        gone.extend((!seen.is_flawless()).then_some(Gone { number, seen }));
    }
    Ok(gone)
}

/// Lets a client leave in its way; `None` if it has left already.
async fn leave(run: &Run, member: &Member) -> Option<Way> {
    let way = Way::of(member.number);
    let order = match way {
        Way::Politely => Order::Leave,
        Way::Abruptly => Order::Break,
        Way::Silently => Order::Mute,
    };
    member.order(order).await.ok()?;
    run.count(way.counter(), 1);
    Some(way)
}

/// The server must have ended the connection of a client that was silent, and must have said why.
fn check_end(run: &Run, ended: &Ended<Visitor>) {
    let how = match &ended.closed {
        Some(closed) if closed.code == DisconnectCode::NoPong.code() => return,
        Some(closed) => closed.to_string(),
        None => "still connected".to_owned(),
    };
    let detail = format!("client {} answered no ping: {how}", ended.number);
    run.violation(Violation::new(Promise::Other, detail));
}

/// A client that stays for a while.
struct Visitor {
    run: Run,
    way: Way,
    channel: OneChannel,
    silence: Arc<Silence>,
}

impl Visitor {
    fn new(run: &Run, number: usize, silence: &Arc<Silence>) -> Self {
        // One in two is where publishing goes on, the others in channels of which they are among the few.
        let channel = if number.is_multiple_of(2) {
            0
        } else {
            1 + number % run.plan().load.channels
        };
        Self {
            run: run.clone(),
            way: Way::of(number),
            channel: OneChannel::new(run, channel, Start::FirstSeen),
            silence: Arc::clone(silence),
        }
    }
}

impl Listener for Visitor {
    fn connected(&mut self, pings: Option<Duration>) {
        self.silence.answers_are_wanted(pings);
    }

    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        vec![self.channel.subscription()]
    }

    fn ready(&mut self, took: Duration) {
        self.run.latency(ARRIVAL, took);
    }

    fn delivered(&mut self, channel: &str, publication: &Publication) {
        if self.channel.take(channel, publication).is_some() {
            self.run.count("visitors_received", 1);
        }
    }

    fn closed(&mut self, closed: &Closed) -> Next {
        if self.way == Way::Silently {
            self.silence.was_noticed();
        } else {
            let detail = format!("a client that had come was disconnected: {closed}");
            self.run.violation(Violation::new(Promise::Other, detail));
        }
        Next::Stay
    }
}
