//! One client: a witness, or one that returns.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::{Error, Publication, SubscribeRequest, SubscribeResult};

use super::story::{self, Story};
use crate::check::{Checker, Findings, Ledger, Start};
use crate::client::Listener;
use crate::payload;
use crate::run::{Run, Stamp};
use crate::{Promise, Violation};

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
    channel: String,
    checker: Checker,
    /// What was found up to the last time that the server said that something is missing.
    before: Findings,
    /// How far it has come: offset and epoch.
    position: Option<(u64, String)>,
    /// When it was whole, as far as is known.
    whole: Option<Stamp>,
}

impl Client {
    pub(super) fn new(run: &Run, story: &Arc<Story>, part: Part, (number, channel): (usize, usize)) -> Self {
        let index = u32::try_from(channel).unwrap_or(u32::MAX);
        Self {
            run: run.clone(),
            story: Arc::clone(story),
            part,
            number,
            channel: run.channel(channel),
            checker: Checker::new(index, Start::Beginning),
            before: Findings::default(),
            position: None,
            whole: None,
        }
    }

    /// Whether everything arrived that should have, and when it was whole.
    pub(super) fn judge(mut self, ledger: &Ledger) {
        if let Some(whole) = self.whole {
            self.run.latency("whole", whole.since(self.story.returned()));
        }
        let checker = std::mem::replace(&mut self.checker, Checker::new(0, Start::FirstSeen));
        let found = checker.finish(ledger);
        self.report(Promise::NothingLost, found.lost, &found);
        self.report(
            Promise::NothingDoubled,
            found.doubled + self.before.doubled,
            &found,
        );
        self.report(Promise::InOrder, found.reordered + self.before.reordered, &found);
    }

    fn report(&self, promise: Promise, count: u64, found: &Findings) {
        if count > 0 {
            let example = found.example.as_ref().or(self.before.example.as_ref());
            let example = example.map_or("", String::as_str);
            self.violate(promise, &format!("{count} publications: {example}"));
        }
    }

    fn violate(&self, promise: Promise, what: &str) {
        let detail = format!("client {} in {}: {what}", self.number, self.channel);
        self.run.violation(Violation::new(promise, detail));
    }

    /// The server has answered a client that came back.
    fn returned(&mut self, result: &SubscribeResult) {
        self.run.total("answered", 1);
        if result.recovered {
            self.run.total("recovered", 1);
            self.run
                .total("recovered_publications", result.publications.len() as u64);
        } else {
            self.run.total("not_recovered", 1);
            self.run.total(reason(&result.recovery_reason), 1);
            self.start_over(result);
        }
        for publication in &result.publications {
            self.arrived(publication);
        }
        self.whole = self.whole.max(Some(self.run.clock().now()));
    }

    /// Something is missing, and the server says so: what came before has nothing to do with what comes.
    fn start_over(&mut self, result: &SubscribeResult) {
        let index = self.checker.channel();
        let checker = std::mem::replace(&mut self.checker, Checker::new(index, Start::FirstSeen));
        let found = checker.finish(&Ledger::default());
        self.before.doubled += found.doubled;
        self.before.reordered += found.reordered;
        self.before.example = self.before.example.take().or(found.example);
        self.position = Some((result.offset, result.epoch.clone()));
    }

    /// A publication has arrived, recovered or live.
    fn arrived(&mut self, publication: &Publication) {
        self.story.note_arrival();
        if let Some((offset, _)) = &mut self.position {
            let expected = *offset + 1;
            *offset = publication.offset;
            if publication.offset != expected {
                let what = format!("offset {} instead of {expected}", publication.offset);
                self.violate(Promise::HonestRecovery, &what);
            }
        }
        let Some(label) = payload::read(&publication.data) else {
            return;
        };
        self.checker.arrived(&label);
        if label.intended < self.story.returned()
            && let Some(whole) = &mut self.whole
        {
            *whole = self.run.clock().now();
        }
    }

    /// How long a publication took to a witness.
    fn testify(&self, publication: &Publication) {
        let Some(label) = payload::read(&publication.data) else {
            return;
        };
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
            channel: self.channel.clone(),
            positioned: true,
            recoverable: true,
            ..SubscribeRequest::default()
        };
        if let Some((offset, epoch)) = &self.position {
            request.recover = true;
            request.offset = *offset;
            request.epoch.clone_from(epoch);
        }
        vec![request]
    }

    fn ready(&mut self, _: Duration) {}

    fn subscribed(&mut self, _: &str, result: Result<&SubscribeResult, &Error>) {
        match result {
            Err(error) => {
                self.run.total("subscribe_failed", 1);
                self.violate(
                    Promise::Other,
                    &format!("its subscription failed: {}", error.message),
                );
            }
            Ok(result) if result.was_recovering => self.returned(result),
            Ok(result) => self.position = Some((result.offset, result.epoch.clone())),
        }
    }

    fn unsubscribed(&mut self, _: &str, code: u32) {
        self.run.total("unsubscribed", 1);
        self.violate(
            Promise::Other,
            &format!("its subscription was ended with code {code}"),
        );
    }

    fn delivered(&mut self, _: &str, publication: &Publication) {
        self.arrived(publication);
        self.testify(publication);
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
