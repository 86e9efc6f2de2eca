//! History and presence that are read while everything else goes on.

mod streams;

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::streams::{Position, Streams};
use super::Channels;
use crate::Failure;
use crate::admin::Admin;
use crate::check::Ledger;
use crate::measure::Outcome;
use crate::pace::{Metronome, Schedule};
use crate::run::Run;
use crate::scenario::figures::{Figures, count, quantile};
use crate::scenario::reshard::play::Work;
use crate::scenario::reshard::watcher::Channel;
use crate::scenario::{Figure, Unit};

/// Publications that are read at once.
const PAGE: usize = 50;

/// Reads that may be without an answer. More wait until some are answered, which counts in how long they take.
const WINDOW: usize = 256;

/// Streams of each worker that are read again when nothing is published any more, at most.
const READ_AGAIN: usize = 200;

/// What reads need.
struct Reader {
    run: Run,
    admin: Admin,
    channels: Arc<Channels>,
    seen: Streams,
}

/// What is read.
#[derive(Debug)]
enum Asked {
    /// The history of this stream, which had come so far.
    History(usize, Position),
    Presence,
}

/// A read that has its answer.
struct Answered {
    asked: Asked,
    intended: Instant,
    answer: Result<Value, Failure>,
}

/// Reads the history of a stream and the presence of a room in turns, `rate` times a second together.
pub(super) fn read(run: &Run, channels: Arc<Channels>, rate: usize, stop: watch::Receiver<bool>) -> Work {
    let run = run.clone();
    tokio::spawn(async move {
        let reader = Reader {
            admin: Admin::new(run.target())?,
            run,
            channels,
            seen: Streams::default(),
        };
        reader.read_until(rate, stop).await
    })
}

impl Reader {
    #[expect(clippy::cast_precision_loss, reason = "nobody reads so often")]
    async fn read_until(mut self, rate: usize, mut stop: watch::Receiver<bool>) -> Result<Ledger, Failure> {
        let mut metronome = Metronome::endless(Schedule::new(rate as f64, 1), Instant::now());
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(answered) = open.next() => self.settle(answered),
                Some(beats) = metronome.next() => for beat in beats {
                    if open.len() >= WINDOW && let Some(answered) = open.next().await {
                        self.settle(answered);
                    }
                    open.push(self.ask(beat.number, beat.intended));
                },
            }
        }
        while let Some(answered) = open.next().await {
            self.settle(answered);
        }
        Ok(Ledger::default())
    }

    /// Asks for the history of a stream or the presence of a room; the answer, later.
    fn ask(&self, number: u64, intended: Instant) -> impl Future<Output = Answered> + use<> {
        let turn = usize::try_from(number).unwrap_or(0);
        let place = |of: usize| turn.wrapping_mul(31) % of;
        let (asked, method, params) = if turn.is_multiple_of(2) {
            let at = place(self.channels.streams.len());
            let stream = &self.channels.streams[at];
            let since = self.seen.position(&stream.name);
            (Asked::History(at, since), "history", page(stream))
        } else {
            let room = &self.channels.rooms[place(self.channels.rooms.len())];
            let params = json!({ "channel": room.name });
            (Asked::Presence, "presence", params)
        };
        let admin = self.admin.clone();
        async move {
            let answer = admin.call(method, &params).await;
            Answered {
                asked,
                intended,
                answer,
            }
        }
    }

    /// Notes how long a read took, from when it was meant to begin, and what was wrong with it.
    fn settle(&mut self, answered: Answered) {
        let run = &self.run;
        let measured = run.measures(run.clock().stamp(answered.intended));
        let (took, [read, refused]) = match answered.asked {
            Asked::History(..) => ("history", ["history_read", "history_refused"]),
            Asked::Presence => ("presence", ["presence_read", "presence_refused"]),
        };
        if measured {
            let done = answered.answer.is_ok();
            run.total(if done { read } else { refused }, 1);
            if done {
                run.latency(took, answered.intended.elapsed());
            }
        }
        if let Asked::History(at, since) = answered.asked {
            let stream = &self.channels.streams[at].name;
            self.seen.check(run, stream, &since, answered.answer);
        }
    }
}

/// Reads the newest publications of some of these streams when nothing is published any more: what was accepted must be there.
pub(super) async fn read_again(run: &Run, streams: &[Channel], ledger: &Ledger) -> Result<(), Failure> {
    let admin = Admin::new(run.target())?;
    let own = &streams[run.share().range(streams.len())];
    for stream in own.iter().step_by(own.len().div_ceil(READ_AGAIN).max(1)) {
        let answer = admin.call("history", &page(stream)).await;
        let (mut least, mut most) = (0, 0);
        for (_, entry) in ledger.channel(stream.index) {
            least += entry.last.saturating_sub(entry.doubtful.len() as u64);
            most += entry.last;
        }
        streams::check_end(run, &stream.name, answer, least..=most);
    }
    Ok(())
}

/// Asks for the newest publications.
fn page(stream: &Channel) -> Value {
    json!({ "channel": stream.name, "limit": PAGE, "reverse": true })
}

/// How long they took.
pub(super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Figures::default();
    for name in ["history", "presence"] {
        let p99 = quantile(outcome, name, 0.99);
        figures.lower(&format!("{name} read: p99"), p99, Unit::Seconds);
        let read = count(outcome, &format!("{name}_read"));
        figures.neither(&format!("{name} read"), Some(read), Unit::Count);
    }
    figures.done()
}
