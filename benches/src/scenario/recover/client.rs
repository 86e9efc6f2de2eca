//! One client: a witness, or one that returns.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::{Error, Publication, SubscribeRequest, SubscribeResult};

use super::options::Options;
use super::story::{self, Story};
use crate::check::{Checker, Findings, Ledger, Start};
use crate::client::Listener;
use crate::payload::Label;
use crate::run::{Run, Stamp};
use crate::scenario::broken::report;
use crate::scenario::one_channel::OneChannel;
use crate::{Promise, Violation};

/// Latency until a client was whole, from when the first one was to return, and from when it was to do so itself.
pub(super) const ALL_WHOLE: &str = "all_whole";
pub(super) const WHOLE: &str = "whole";

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is cut off and comes back.
    Returns,
    /// It stays, in a channel of witnesses.
    WitnessApart,
    /// It stays, in a channel to which others come back.
    WitnessAmong,
}

/// What a client knows.
pub(super) struct Client {
    run: Run,
    story: Arc<Story>,
    part: Part,
    number: usize,
    /// How long after the others began to return it is to do so.
    delay: Duration,
    /// How many publications it may have missed and still be told all of them.
    recoverable: u64,
    channel: OneChannel,
    /// What it saw until the server said that something is missing, each time.
    before: Vec<Checker>,
    /// The offset at which it subscribed first.
    first: u64,
    /// How far it has come: offset and epoch.
    position: Option<(u64, String)>,
    /// When it was whole, as far as is known; `None` for one that was not recovered, too.
    whole: Option<Stamp>,
}

impl Client {
    /// The client of this number.
    pub(super) fn new(run: &Run, options: &Options, story: &Arc<Story>, part: Part, number: usize) -> Self {
        let channel = OneChannel::new(run, options.channel_of(number), Start::Beginning);
        Self {
            run: run.clone(),
            story: Arc::clone(story),
            part,
            number,
            delay: options.delay(run.share(), number),
            recoverable: options.recoverable,
            channel: channel.counted_in(story.arrived()),
            before: Vec::new(),
            first: 0,
            position: None,
            whole: None,
        }
    }

    /// Whether everything arrived that should have, and when it was whole.
    pub(super) fn judge(mut self, ledger: &Ledger) {
        if let Some(whole) = self.whole {
            let returned = self.story.returned();
            self.run.latency(ALL_WHOLE, whole.since(returned));
            self.run.latency(WHOLE, whole.since(returned.plus(self.delay)));
        }
        let before = std::mem::take(&mut self.before);
        if !before.is_empty() {
            self.check_end(ledger);
        }
        let mut found = Findings::default();
        for seen in before {
            found.add(seen.finish_early(ledger));
        }
        let Self {
            run, number, channel, ..
        } = self;
        let whose = format!("client {number} in {}", channel.name());
        found.add(channel.into_checker().finish(ledger));
        report(&run, whose, &found);
    }

    /// Of one that had to begin anew, numbers do not tell whether the end is missing; offsets do, for they are dense.
    fn check_end(&self, ledger: &Ledger) {
        let accepted = ledger.accepted_in(self.channel.index());
        let (came_to, due) = (self.position.as_ref().map_or(0, |it| it.0), self.first + accepted);
        if came_to < due {
            let what = format!("it came to offset {came_to}, and the stream to {due}");
            self.violate(Promise::NothingLost, &what);
        }
    }

    fn violate(&self, promise: Promise, what: &str) {
        let detail = format!("client {} in {}: {what}", self.number, self.channel.name());
        self.run.violation(Violation::new(promise, detail));
    }

    /// The server has answered a client that came back.
    fn returned(&mut self, result: &SubscribeResult) {
        self.run.total("answered", 1);
        if !result.recovered {
            return self.start_over(result);
        }
        self.run.total("recovered", 1);
        self.run
            .total("recovered_publications", result.publications.len() as u64);
        if let Some(epoch) = self.other_epoch(result) {
            let what = format!(
                "recovered=true, but in the epoch {} instead of {epoch}",
                result.epoch
            );
            self.violate(Promise::HonestRecovery, &what);
        }
        for publication in &result.publications {
            self.arrived("", publication);
        }
        self.whole = self.whole.max(Some(self.run.clock().now()));
    }

    /// Something is missing, the server says: that must be so. What came before has nothing to do with what comes.
    fn start_over(&mut self, result: &SubscribeResult) {
        self.run.total("not_recovered", 1);
        self.run.total(reason(&result.recovery_reason), 1);
        let missed = self.missed(result);
        if !self.is_beyond_recovery(result, missed) {
            let why = &result.recovery_reason;
            let what = format!("recovered=false ({why}) though it had missed {missed} publications");
            self.violate(Promise::HonestRecovery, &what);
        }
        // Nobody waits for them any more.
        self.story.arrived().add(missed);
        self.before.push(self.channel.begin_anew());
        self.position = Some((result.offset, result.epoch.clone()));
        self.whole = None;
    }

    /// How many publications a client has missed that came back.
    fn missed(&self, result: &SubscribeResult) -> u64 {
        let position = self.position.as_ref();
        position.map_or(0, |(offset, _)| result.offset.saturating_sub(*offset))
    }

    /// Whether so many publications were missed that the server need not have them, or need not tell all of them. Nothing that
    /// happens here is a reason for another epoch, or for a position that is ahead.
    fn is_beyond_recovery(&self, result: &SubscribeResult, missed: u64) -> bool {
        // A server that gives no reason is believed the number.
        let reason = matches!(
            &*result.recovery_reason,
            "" | "limit_exceeded" | "position_expired"
        );
        reason && missed > self.recoverable && self.other_epoch(result).is_none()
    }

    /// The epoch that the client knew, if the server has another one now.
    fn other_epoch(&self, result: &SubscribeResult) -> Option<&str> {
        let (_, epoch) = self.position.as_ref()?;
        (*epoch != result.epoch).then_some(epoch)
    }

    /// A publication has arrived, recovered or live.
    fn arrived(&mut self, name: &str, publication: &Publication) -> Option<Label> {
        let label = self.channel.take(name, publication)?;
        if let Some((offset, _)) = &mut self.position {
            let expected = *offset + 1;
            *offset = publication.offset;
            if publication.offset != expected {
                let what = format!("offset {} instead of {expected}", publication.offset);
                self.violate(Promise::HonestRecovery, &what);
            }
        }
        if label.intended < self.story.returned()
            && let Some(whole) = &mut self.whole
        {
            *whole = self.run.clock().now();
        }
        Some(label)
    }

    /// How long a publication took to a witness.
    fn testify(&self, label: &Label) {
        if !self.run.measures(label.intended) {
            return;
        }
        let name = match (self.part, self.story.part(label.intended)) {
            (Part::Returns, _) => return,
            (Part::WitnessApart, story::Part::Before) => "apart_before",
            (Part::WitnessApart, story::Part::During) => "apart_during",
            (Part::WitnessApart, story::Part::After) => "apart_after",
            (Part::WitnessAmong, story::Part::Before) => "among_before",
            (Part::WitnessAmong, story::Part::During) => "among_during",
            (Part::WitnessAmong, story::Part::After) => "among_after",
        };
        self.run
            .latency(name, self.run.clock().now().since(label.intended));
    }
}

impl Listener for Client {
    fn subscriptions(&mut self) -> Vec<SubscribeRequest> {
        let mut request = SubscribeRequest {
            positioned: true,
            recoverable: true,
            ..self.channel.subscription()
        };
        if let Some((offset, epoch)) = &self.position {
            request.recover = true;
            request.offset = *offset;
            request.epoch.clone_from(epoch);
        }
        vec![request]
    }

    fn subscribed(&mut self, _: &str, result: Result<&SubscribeResult, &Error>) {
        match result {
            // It is asked for again.
            Err(error) if error.temporary => {}
            Err(error) => {
                self.run.total("subscribe_failed", 1);
                self.violate(
                    Promise::Other,
                    &format!("its subscription failed: {}", error.message),
                );
            }
            Ok(result) if result.was_recovering => self.returned(result),
            Ok(result) => {
                self.first = result.offset;
                self.position = Some((result.offset, result.epoch.clone()));
            }
        }
    }

    fn unsubscribed(&mut self, _: &str, code: u32) {
        self.run.total("unsubscribed", 1);
        self.violate(
            Promise::Other,
            &format!("its subscription was ended with code {code}"),
        );
    }

    fn delivered(&mut self, channel: &str, publication: &Publication) {
        if let Some(label) = self.arrived(channel, publication) {
            self.testify(&label);
        }
    }
}

/// The counter of a reason why something is missing.
fn reason(label: &str) -> &'static str {
    const KNOWN: [&str; 5] = [
        "epoch_changed",
        "shard_lost",
        "position_expired",
        "position_ahead",
        "limit_exceeded",
    ];
    let known = KNOWN.into_iter().find(|known| *known == label);
    known.unwrap_or("other_reason")
}

#[cfg(test)]
mod tests;
