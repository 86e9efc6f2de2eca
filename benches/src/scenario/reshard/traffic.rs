//! Publishing at a pace until told to end, with an account of how long each publication took, and whether its partition
//! was moving meanwhile.

use std::collections::HashMap;
use std::time::Instant;

use campanile_client::RequestError;
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

    /// Publishes at this rate from `start` until `stop`, then waits for the answers; what became of everything.
    pub(in crate::scenario) async fn drive(
        mut self,
        rate: f64,
        start: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Ledger, Failure> {
        let load = &self.run.plan().load;
        let (size, settle) = (load.size, load.settle);
        let mut metronome = Metronome::endless(Schedule::new(rate, load.burst), start);
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(answered) = answers.next() => self.settle(&answered),
                Some(beats) = metronome.next() => for beat in beats {
                    let Beat { number, intended } = beat;
                    let at = usize::try_from(number).unwrap_or(usize::MAX) % self.channels.len();
                    answers.push(self.publish(at, intended, size).await?);
                },
            }
        }
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
    async fn publish(
        &mut self,
        at: usize,
        intended: Instant,
        size: usize,
    ) -> Result<impl Future<Output = Answered> + use<>, Failure> {
        self.sequences[at] += 1;
        let channel = &self.channels[at];
        let label = Label {
            worker: u16::try_from(self.run.share().index).unwrap_or(u16::MAX),
            channel: channel.index,
            sequence: self.sequences[at],
            intended: self.run.clock().stamp(intended),
        };
        let moved = self.moving.is_moving(channel.partition);
        self.ledger.sent(label.channel, label.worker, label.sequence);
        self.open.insert((at, label.sequence), label);
        let (answer, answered) = oneshot::channel();
        let order = Order::Publish {
            channel: channel.name.clone(),
            data: payload::write(&label, size),
            answer,
        };
        let member = &self.members[at % self.members.len()];
        let gone = member.order(order).await.is_err();
        if gone && !self.faulty {
            return Err(Failure::run(format!(
                "client {} is gone, which published",
                member.number
            )));
        }
        Ok(async move {
            let outcome = match answered.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(RequestError::Refused(error))) => {
                    Err(Trouble::Refused(format!("{} ({})", error.message, error.code)))
                }
                Ok(Err(_)) | Err(_) => Err(Trouble::Unknown),
            };
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
        let Answered { at, label, moved, .. } = answered;
        self.open.remove(&(*at, label.sequence));
        let channel = &self.channels[*at];
        let measured = self.run.measures(label.intended);
        let fate = match &answered.outcome {
            Ok(()) => {
                let took = self.run.clock().stamp(answered.when).since(label.intended);
                if measured {
                    // It may have begun to move while the publication was under way.
                    let moving = *moved || self.moving.is_moving(channel.partition);
                    self.run
                        .latency(if moving { "publish_moving" } else { "publish" }, took);
                    self.run.count("published", 1);
                    self.run.series("published", 1);
                }
                Fate::Accepted
            }
            Err(Trouble::Refused(words)) => {
                self.run.total("publish_refused", 1);
                self.ledger.explain(words);
                if !self.faulty {
                    let detail = format!("{}: a publication was refused: {words}", channel.name);
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
}
