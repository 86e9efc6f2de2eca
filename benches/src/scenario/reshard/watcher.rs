//! What a client sees of its channels, and whether it is what was promised.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use campanile_client::Closed;
use campanile_common::message::{Error, Publication, SubscribeRequest, SubscribeResult};
use campanile_shard_router::partition::Partition;

use super::moving::Moving;
use crate::check::{Checker, Findings, Ledger, Start};
use crate::client::{Listener, Next};
use crate::payload::{self, Label};
use crate::run::Run;
use crate::scenario::broken;
use crate::{Promise, Violation};

/// A channel of the run.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Channel {
    /// Its index in payloads.
    pub(in crate::scenario) index: u32,
    /// Its name.
    pub(in crate::scenario) name: String,
    /// Whether it keeps a stream.
    pub(in crate::scenario) stream: bool,
    /// Where it belongs.
    pub(in crate::scenario) partition: Partition,
}

/// What all watchers of a worker share.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Watched {
    pub(in crate::scenario) run: Run,
    pub(in crate::scenario) moving: Moving,
    /// Publications that have arrived, in all phases.
    pub(in crate::scenario) received: Arc<AtomicU64>,
    /// Whether a gateway is killed, so that connections end and who comes back may find nobody.
    pub(in crate::scenario) faulty: bool,
}

/// One client's eyes.
#[derive(Debug)]
pub(in crate::scenario) struct Watcher {
    shared: Watched,
    number: usize,
    lanes: HashMap<String, Lane>,
}

/// One channel as one client sees it.
#[derive(Debug)]
struct Lane {
    channel: Channel,
    checker: Checker,
    /// The stream's epoch and the last offset; none before the first subscription.
    position: Option<(String, u64)>,
    /// How late the last publication was, and the last one's label.
    last: Option<(Duration, Label)>,
    /// Whether it was subscribed before: then what went by since is nobody's loss, in a channel without a stream.
    known: bool,
}

impl Channel {
    /// The channel of this index.
    pub(in crate::scenario) fn new(run: &Run, index: u32, stream: bool) -> Self {
        let name = run.channel_in(stream, usize::try_from(index).unwrap_or(usize::MAX));
        let partition = Partition::of(&name);
        Self {
            index,
            name,
            stream,
            partition,
        }
    }
}

impl Lane {
    fn new(channel: Channel) -> Self {
        Self {
            checker: Checker::new(channel.index, Start::Beginning),
            channel,
            position: None,
            last: None,
            known: false,
        }
    }

    fn request(&self) -> SubscribeRequest {
        let (epoch, offset) = self.position.clone().unwrap_or_default();
        SubscribeRequest {
            channel: self.channel.name.clone(),
            recover: self.channel.stream && self.position.is_some(),
            positioned: self.channel.stream,
            recoverable: self.channel.stream,
            epoch,
            offset,
            ..SubscribeRequest::default()
        }
    }

    /// Follows the offsets; what is wrong with this one.
    fn follow(&mut self, offset: u64) -> Option<String> {
        let (_, last) = self.position.as_mut()?;
        let expected = *last + 1;
        *last = offset;
        (offset != expected).then(|| format!("offset {offset} where {expected} was due"))
    }

    /// The client was away and its channel keeps nothing: a new count begins. What was wrong with the old one.
    fn begin_anew(&mut self) -> Findings {
        let fresh = Checker::new(self.channel.index, Start::FirstSeen);
        let old = std::mem::replace(&mut self.checker, fresh);
        let mut seen = Ledger::default();
        if let Some((_, label)) = &self.last {
            seen.sent(label.channel, label.worker, label.sequence);
        }
        old.finish(&seen)
    }
}

impl Watcher {
    /// The client of this number, which watches these channels.
    pub(in crate::scenario) fn new(shared: &Watched, number: usize, channels: Vec<Channel>) -> Self {
        let lanes = channels
            .into_iter()
            .map(|channel| (channel.name.clone(), Lane::new(channel)));
        Self {
            shared: shared.clone(),
            number,
            lanes: lanes.collect(),
        }
    }

    /// Compares what arrived with what was published, and tells what is wrong.
    pub(in crate::scenario) fn finish(self, ledger: &Ledger) {
        for lane in self.lanes.into_values() {
            let name = lane.channel.name.clone();
            let found = lane.checker.finish(ledger);
            report(&self.shared.run, self.number, &name, &found);
        }
    }

    fn violation(&self, kind: Promise, channel: &str, what: &str) {
        let detail = format!("client {}, {channel}: {what}", self.number);
        self.shared.run.violation(Violation::new(kind, detail));
    }

    /// A publication arrived, live or recovered.
    fn take(&mut self, channel: &str, publication: &Publication, live: bool) {
        let Some(lane) = self.lanes.get_mut(channel) else {
            return self.violation(Promise::Other, channel, "a publication that nobody subscribed to");
        };
        let Some(label) = payload::read(&publication.data) else {
            return self.violation(Promise::Other, channel, "a publication that nobody made");
        };
        lane.checker.arrived(&label);
        self.shared.received.fetch_add(1, Ordering::Relaxed);
        let wrong = if lane.channel.stream {
            lane.follow(publication.offset)
        } else {
            None
        };
        let run = &self.shared.run;
        let late = run.clock().now().since(label.intended);
        if live && run.measures(label.intended) {
            let moving = self.shared.moving.is_moving(lane.channel.partition);
            run.latency(if moving { "deliver_moving" } else { "deliver" }, late);
            // How much longer than meant it was since the last one: what a watcher experiences as silence.
            if let Some((before, _)) = lane.last
                && let Some(more) = late.checked_sub(before)
            {
                run.latency("silence", more);
            }
        }
        run.count(
            if live {
                "deliveries"
            } else {
                "recovered_publications"
            },
            1,
        );
        run.series("deliveries", 1);
        lane.last = Some((late, label));
        if let Some(wrong) = wrong {
            self.violation(Promise::InOrder, channel, &wrong);
        }
    }

    /// A client asked for what it missed, and was told whether it has everything.
    fn recovered(&mut self, channel: &str, result: &SubscribeResult) {
        let run = self.shared.run.clone();
        run.total("recoveries", 1);
        if result.recovered {
            for publication in &result.publications {
                self.take(channel, publication, false);
            }
            return;
        }
        run.total("recovered_false", 1);
        if !self.shared.faulty {
            let words = format!(
                "recovered=false ({}) though nothing was lost",
                result.recovery_reason
            );
            self.violation(Promise::HonestRecovery, channel, &words);
        }
        if let Some(lane) = self.lanes.get_mut(channel) {
            lane.position = Some((result.epoch.clone(), result.offset));
            let found = lane.begin_anew();
            report(&run, self.number, channel, &found);
        }
    }
}

impl Listener for Watcher {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        let mut found = Vec::new();
        for lane in self.lanes.values_mut() {
            if lane.known && !lane.channel.stream {
                found.push((lane.channel.name.clone(), lane.begin_anew()));
            }
            lane.known = true;
        }
        for (channel, findings) in found {
            report(&self.shared.run, self.number, &channel, &findings);
        }
        self.lanes.values().map(Lane::request).collect()
    }

    fn subscribed(&mut self, channel: &str, result: Result<&SubscribeResult, &Error>) {
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                self.shared.run.total("subscribe_errors", 1);
                // What is refused for now is asked for again, and loses nothing.
                if !self.shared.faulty && !error.temporary {
                    let words = format!("could not be subscribed: {} ({})", error.message, error.code);
                    self.violation(Promise::Other, channel, &words);
                }
                return;
            }
        };
        let of_stream = |lane: &&mut Lane| lane.channel.stream;
        let Some(lane) = self.lanes.get_mut(channel).filter(of_stream) else {
            return;
        };
        match &lane.position {
            None => lane.position = Some((result.epoch.clone(), result.offset)),
            Some((epoch, _)) if result.recovered && *epoch != result.epoch => {
                self.violation(
                    Promise::HonestRecovery,
                    channel,
                    "recovered=true in another epoch",
                );
            }
            // The offset in the answer is the one that was asked from: what was missed comes in the publications, and a hole
            // between them and what comes live shows in the offsets.
            Some(_) => self.recovered(channel, result),
        }
    }

    fn unsubscribed(&mut self, channel: &str, code: u32) {
        self.shared.run.total("unsubscribed", 1);
        if !self.shared.faulty {
            self.violation(Promise::Other, channel, &format!("was unsubscribed ({code})"));
        }
    }

    fn delivered(&mut self, channel: &str, publication: &Publication) {
        self.take(channel, publication, true);
    }

    fn closed(&mut self, closed: &Closed) -> Next {
        self.shared.run.total("disconnects", 1);
        if self.shared.faulty {
            return Next::Stay;
        }
        let words = format!("the connection ended: {} ({})", closed.reason, closed.code);
        self.violation(Promise::Other, "all channels", &words);
        Next::Return
    }
}

fn report(run: &Run, client: usize, channel: &str, found: &Findings) {
    broken::report(run, format_args!("client {client}, {channel}"), found);
}
