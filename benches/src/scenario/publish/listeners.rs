//! Who listens: to some channels while it is measured, and to all streams' ends afterwards.

use std::collections::HashMap;
use std::ops::Range;

use campanile_common::message::{Error, Publication, SubscribeRequest, SubscribeResult};

use crate::check::{Checker, Ledger, Start};
use crate::client::{Listener, Swarm};
use crate::payload;
use crate::run::Run;
use crate::scenario::arrivals::Arrivals;
use crate::scenario::broken::report;
use crate::{Failure, Promise, Violation};

/// The latency from when a publication was meant to be sent to when it was read.
pub(super) const LATENCY: &str = "deliver";

/// Channels that one client subscribes to: fewer than the 128 that servers allow by default.
const EACH: usize = 100;

/// Clients that begin to connect, a second.
const RATE: f64 = 200.0;

/// Numbers of those who look at the ends of streams begin here.
const AUDITORS: usize = 1 << 20;

/// Streams whose ends are looked at, at most.
const AUDITED: usize = 10_000;

/// Reads some channels from their first publication on.
#[derive(Debug)]
pub(super) struct Reader {
    run: Run,
    channels: Range<usize>,
    /// By name: what has arrived, and the last offset.
    seen: HashMap<String, (Checker, u64)>,
    arrived: Arrivals,
}

/// Connects clients that read this worker's share of the first `channels` channels.
pub(super) async fn read(run: &Run, channels: usize, arrived: &Arrivals) -> Result<Swarm<Reader>, Failure> {
    let share = run.share().range(channels);
    let mut swarm = Swarm::empty(run);
    let first = run.share().index * (1 + channels.div_ceil(EACH));
    let clients = first..first + share.len().div_ceil(EACH);
    swarm
        .add(clients, RATE, |number| {
            Reader::new(run, part(&share, number - first), arrived.clone())
        })
        .await?;
    Ok(swarm)
}

/// The channels of the client of this number.
fn part(all: &Range<usize>, number: usize) -> Range<usize> {
    let start = all.start + number * EACH;
    start..(start + EACH).min(all.end)
}

impl Reader {
    fn new(run: &Run, channels: Range<usize>, arrived: Arrivals) -> Self {
        Self {
            run: run.clone(),
            channels,
            seen: HashMap::new(),
            arrived,
        }
    }

    /// Reports what did not arrive as it was promised.
    pub(super) fn finish(self, ledger: &Ledger) {
        for (channel, (checker, _)) in self.seen {
            report(&self.run, channel, &checker.finish(ledger));
        }
    }
}

impl Listener for Reader {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        let requests = self.channels.clone().map(|index| {
            let channel = self.run.channel(index);
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let checker = Checker::new(number, Start::Beginning);
            self.seen.insert(channel.clone(), (checker, 0));
            SubscribeRequest {
                channel,
                ..SubscribeRequest::default()
            }
        });
        requests.collect()
    }

    fn delivered(&mut self, channel: &str, publication: &Publication) {
        let (Some(label), Some((checker, last))) =
            (payload::read(&publication.data), self.seen.get_mut(channel))
        else {
            return;
        };
        self.arrived.follow(checker, &label);
        self.run.count("deliveries", 1);
        if self.run.measures(label.intended) {
            let took = self.run.clock().now().since(label.intended);
            self.run.latency(LATENCY, took);
        }
        if publication.offset != 0 {
            if publication.offset != *last + 1 {
                let detail = format!("{channel}: offset {} follows {last}", publication.offset);
                self.run.violation(Violation::new(Promise::Other, detail));
            }
            *last = publication.offset;
        }
    }

    fn closed(&mut self, closed: &campanile_client::Closed) -> crate::client::Next {
        let detail = format!("a reader was disconnected: {closed}");
        self.run.violation(Violation::new(Promise::Other, detail));
        crate::client::Next::Stay
    }
}

/// Looks at the ends of streams.
#[derive(Debug)]
struct Auditor {
    run: Run,
    channels: Range<usize>,
    tops: Vec<Option<u64>>,
}

/// Compares the top of each stream with how many publications were accepted: offsets are dense, so they are the same.
pub(super) async fn audit(run: &Run, ledger: &Ledger) -> Result<(), Failure> {
    let all = run.share().range(run.plan().load.channels.min(AUDITED));
    let first = AUDITORS + run.share().index * (1 + AUDITED / EACH);
    let mut swarm = Swarm::empty(run);
    let clients = first..first + all.len().div_ceil(EACH);
    swarm
        .add(clients, RATE, |number| {
            let channels = part(&all, number - first);
            Auditor {
                run: run.clone(),
                tops: vec![None; channels.len()],
                channels,
            }
        })
        .await?;
    for ended in swarm.finish().await {
        ended.listener.finish(ledger);
    }
    Ok(())
}

impl Auditor {
    fn finish(self, ledger: &Ledger) {
        for (index, top) in self.channels.zip(self.tops) {
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let (mut least, mut most) = (0, 0);
            for (_, entry) in ledger.channel(number) {
                least += entry.last - entry.doubtful.len() as u64;
                most += entry.last;
            }
            if !top.is_some_and(|top| (least..=most).contains(&top)) {
                let detail = format!(
                    "{}: {least} to {most} were accepted, and its top is {top:?}",
                    self.run.channel(index)
                );
                self.run.violation(Violation::new(Promise::Other, detail));
            }
        }
    }
}

impl Listener for Auditor {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        let request = |index| SubscribeRequest {
            channel: self.run.channel(index),
            recoverable: true,
            positioned: true,
            ..SubscribeRequest::default()
        };
        self.channels.clone().map(request).collect()
    }

    fn subscribed(&mut self, channel: &str, result: Result<&SubscribeResult, &Error>) {
        let index = channel.rsplit('-').next().and_then(|digits| digits.parse().ok());
        let place = index.and_then(|index: usize| index.checked_sub(self.channels.start));
        if let (Some(place), Ok(result)) = (place, result) {
            self.tops[place] = Some(result.offset);
        }
    }

    fn delivered(&mut self, _channel: &str, _publication: &Publication) {}
}
