//! Publishing at a pace until told to end, with an account of how long each publication took, and whether its partition
//! was moving meanwhile.

use std::collections::HashMap;
use std::time::Instant;

use campanile_client::RequestError;
use campanile_common::message::PublishResult;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};

use super::moving::Moving;
use super::watcher::Channel;
use crate::check::{Fate, Ledger};
use crate::client::{Member, Order};
use crate::pace::{Beat, Metronome, Schedule};
use crate::payload::{self, Label};
use crate::run::Run;
use crate::{Failure, Promise, Violation};

/// Publications that may be without an answer, and the bytes of their payloads; others wait, which counts in their latency as
/// all waiting does, and as `publish_stalled`. Far more than a server leaves unanswered that keeps up.
const WINDOW: usize = 16_384;
const WINDOW_BYTES: usize = 64 << 20;

/// Publishes through clients. Each channel belongs to one of them, so that its numbers arrive in their order.
#[derive(Debug)]
pub(in crate::scenario) struct Traffic {
    run: Run,
    members: Vec<Member>,
    channels: Vec<Channel>,
    sequences: Vec<u64>,
    moving: Moving,
    ledger: Ledger,
    /// What has no answer yet: by channel and number.
    open: HashMap<(usize, u64), Label>,
    /// Whether a gateway is killed, so that publications may be refused.
    faulty: bool,
}

/// A publication that has its answer.
struct Answered {
    at: usize,
    label: Label,
    /// Whether its partition was moving when it was published.
    moved: bool,
    outcome: Result<(), Trouble>,
    when: Instant,
}

enum Trouble {
    Refused(String),
    Unknown,
}

type Answer = Result<Result<PublishResult, RequestError>, oneshot::error::RecvError>;

fn outcome(answer: Answer) -> Result<(), Trouble> {
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(RequestError::Refused(error))) => {
            Err(Trouble::Refused(format!("{} ({})", error.message, error.code)))
        }
        Ok(Err(_)) | Err(_) => Err(Trouble::Unknown),
    }
}

impl Traffic {
    pub(in crate::scenario) fn new(
        run: &Run,
        members: &[Member],
        channels: Vec<Channel>,
        moving: &Moving,
        faulty: bool,
    ) -> Self {
        Self {
            run: run.clone(),
            members: members.to_vec(),
            sequences: vec![0; channels.len()],
            channels,
            moving: moving.clone(),
            ledger: Ledger::default(),
            open: HashMap::new(),
            faulty,
        }
    }

    /// Publishes at these times from `start` on until `stop`, then waits for the answers; what became of everything.
    pub(in crate::scenario) async fn drive(
        mut self,
        schedule: Schedule,
        start: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Ledger, Failure> {
        let mut metronome = Metronome::endless(schedule, start);
        let mut answers = FuturesUnordered::new();
        // What is due and waits until fewer are without an answer.
        let mut due: Option<Box<dyn Iterator<Item = Beat> + Send>> = None;
        loop {
            while self.has_room()
                && let Some(beats) = &mut due
            {
                match beats.next() {
                    Some(beat) => answers.push(self.publish(&beat).await?),
                    None => due = None,
                }
            }
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(answered) = answers.next() => self.settle(&answered),
                beats = metronome.next(), if due.is_none() => {
                    self.run.count("publish_stalled", u64::from(!self.has_room()));
                    due = beats.map(|beats| Box::new(beats) as _);
                }
            }
        }
        self.finish(answers).await
    }

    /// Whether another publication may be without an answer.
    fn has_room(&self) -> bool {
        self.open.len() < WINDOW && self.open.len() * self.run.plan().load.size.max(1) < WINDOW_BYTES
    }

    /// Waits for the answers that are still to come, as long as the plan's `settle`.
    async fn finish(
        mut self,
        mut answers: FuturesUnordered<impl Future<Output = Answered>>,
    ) -> Result<Ledger, Failure> {
        let settle = self.run.plan().load.settle;
        let rest = async {
            while let Some(answered) = answers.next().await {
                self.settle(&answered);
            }
        };
        if tokio::time::timeout(settle, rest).await.is_err() {
            for label in self.open.into_values() {
                self.run.total("publish_unknown", 1);
                self.ledger
                    .settled(label.channel, label.worker, label.sequence, Fate::Unknown);
            }
        }
        Ok(self.ledger)
    }

    /// Hands a publication over; its answer, later.
    async fn publish(&mut self, beat: &Beat) -> Result<impl Future<Output = Answered> + use<>, Failure> {
        let at = usize::try_from(beat.number).unwrap_or(usize::MAX) % self.channels.len();
        self.sequences[at] += 1;
        let channel = &self.channels[at];
        let label = Label {
            worker: u16::try_from(self.run.share().index).unwrap_or(u16::MAX),
            channel: channel.index,
            sequence: self.sequences[at],
            intended: self.run.clock().stamp(beat.intended),
        };
        let moved = self.moving.is_moving(channel.partition);
        self.ledger.sent(label.channel, label.worker, label.sequence);
        self.open.insert((at, label.sequence), label);
        let (answer, answered) = oneshot::channel();
        let order = Order::Publish {
            channel: channel.name.clone(),
            data: payload::write(&label, self.run.plan().load.size),
            answer,
        };
        let member = &self.members[at % self.members.len()];
        if member.order(order).await.is_err() && !self.faulty {
            let number = member.number;
            return Err(Failure::run(format!("client {number} is gone, which published")));
        }
        Ok(async move {
            let outcome = outcome(answered.await);
            Answered {
                at,
                label,
                moved,
                outcome,
                when: Instant::now(),
            }
        })
    }

    fn settle(&mut self, answered: &Answered) {
        let Answered { at, label, .. } = answered;
        self.open.remove(&(*at, label.sequence));
        let fate = match &answered.outcome {
            Ok(()) => {
                self.note_accepted(answered);
                Fate::Accepted
            }
            Err(Trouble::Refused(words)) => {
                self.run.total("publish_refused", 1);
                self.ledger.explain(words);
                if !self.faulty {
                    let name = &self.channels[*at].name;
                    let detail = format!("{name}: a publication was refused: {words}");
                    self.run.violation(Violation::new(Promise::Other, detail));
                }
                Fate::Refused
            }
            Err(Trouble::Unknown) => {
                self.run.total("publish_unknown", 1);
                Fate::Unknown
            }
        };
        self.ledger
            .settled(label.channel, label.worker, label.sequence, fate);
    }

    fn note_accepted(&self, answered: &Answered) {
        let Answered { at, label, moved, .. } = answered;
        if !self.run.measures(label.intended) {
            return;
        }
        let took = self.run.clock().stamp(answered.when).since(label.intended);
        // It may have begun to move while the publication was under way.
        let moving = *moved || self.moving.is_moving(self.channels[*at].partition);
        self.run
            .latency(if moving { "publish_moving" } else { "publish" }, took);
        self.run.count("published", 1);
        self.run.series("published", 1);
    }
}
