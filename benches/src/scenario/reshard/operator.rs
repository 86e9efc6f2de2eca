//! What an operator does to the shards while the load goes on.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::Failure;
use crate::admin::Admin;
use crate::measure::Readings;
use crate::plan::Load;
use crate::run::Run;
use crate::scenario::Key;
use crate::target::{Shard, Target};

/// How often the gateways are asked how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A plan that has not ended by then never will.
const MOVED: Duration = Duration::from_secs(600);
/// How long a server that is paused stays so: shorter than anything that gives up.
const PAUSE: Duration = Duration::from_millis(400);
/// So much of a plan is left when something is broken.
const FAULT_AT: f64 = 0.8;

/// What is broken.
pub(in crate::scenario) const FAULT: Key = Key::text(
    "fault",
    "",
    "what is broken in the middle of the first step: kill-coordinator, pause-source or pause-target; by default nothing",
);
/// Who joins.
pub(in crate::scenario) const ADD: Key = Key::text(
    "add",
    "",
    "the Redis server that joins, as NAME=redis://...; by default the spare one of the local stack",
);
/// Who leaves.
pub(in crate::scenario) const DRAIN: Key =
    Key::text("drain", "", "the shard that is drained; by default the first one");

/// How long partitions were closed, as the gateways count it.
const PAUSES: &str = "campanile_move_pause_seconds";
/// The same as a latency of the run: of each pause the upper end of its bucket.
pub(in crate::scenario) const PAUSE_AT_MOST: &str = "pause_at_most";
/// Pauses of a step in one bucket: far more than there are partitions.
const MOST_PAUSES: usize = 1 << 20;

/// A change of the shards.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::scenario) struct Step {
    pub(in crate::scenario) kind: Kind,
    method: &'static str,
    params: Value,
}

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scenario) enum Kind {
    /// A shard is given its part.
    Add,
    /// A shard is emptied.
    Drain,
}

/// What is broken in the middle of the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scenario) enum Fault {
    /// The coordinating gateway is killed.
    KillCoordinator,
    /// A source of the moves stops for a moment.
    PauseSource,
    /// The target of the moves stops for a moment.
    PauseTarget,
}

/// Changes the shards, and waits until it is done.
#[derive(Debug)]
pub(in crate::scenario) struct Operator<'a> {
    run: &'a Run,
    admin: &'a Admin,
    fault: Option<Fault>,
}

impl Fault {
    /// Whether clients lose their gateway. A server that stops for a moment only makes everybody wait.
    pub(in crate::scenario) const fn ends_connections(self) -> bool {
        matches!(self, Self::KillCoordinator)
    }

    pub(in crate::scenario) fn of(load: &Load) -> Result<Option<Self>, Failure> {
        Ok(match FAULT.given::<String>(load)?.as_deref() {
            None => None,
            Some("kill-coordinator") => Some(Self::KillCoordinator),
            Some("pause-source") => Some(Self::PauseSource),
            Some("pause-target") => Some(Self::PauseTarget),
            Some(other) => {
                return Err(Failure::usage(format!(
                    "-o fault={other}: there are kill-coordinator, pause-source and pause-target"
                )));
            }
        })
    }
}

/// The steps of so many rounds: the new shard is added and the first one drained, then the other way round, in turns.
pub(in crate::scenario) fn steps(spare: &Shard, first: &str, rounds: usize) -> Vec<Step> {
    let drain = |name: &str, undo: bool| Step {
        kind: if undo { Kind::Add } else { Kind::Drain },
        method: "shards/drain",
        params: json!({ "name": name, "undo": undo }),
    };
    let add = Step {
        kind: Kind::Add,
        method: "shards/add",
        params: json!({ "name": spare.name, "url": spare.url }),
    };
    let mut steps = Vec::new();
    for round in 0..rounds {
        let (comes, goes) = if round % 2 == 0 {
            (spare.name.as_str(), first)
        } else {
            (first, spare.name.as_str())
        };
        steps.push(if round == 0 {
            add.clone()
        } else {
            drain(comes, true)
        });
        steps.push(drain(goes, false));
    }
    steps
}

/// The server that joins, if the user names one (`-o add=NAME=URL`).
pub(in crate::scenario) fn joining(load: &Load) -> Result<Option<Shard>, Failure> {
    let Some(text) = ADD.given::<String>(load)? else {
        return Ok(None);
    };
    let parts = text.split_once('=').filter(|(_, url)| url.contains("://"));
    // Without the text, which may contain a password.
    let (name, url) = parts.ok_or_else(|| Failure::usage("-o add: expected NAME=redis://..."))?;
    Ok(Some(Shard {
        name: name.to_owned(),
        url: url.to_owned(),
    }))
}

/// The server that joins, as the user says or as the stack has it.
pub(in crate::scenario) fn spare(load: &Load, target: &Target) -> Result<Shard, Failure> {
    let spare = joining(load)?.or_else(|| target.spares.first().cloned());
    spare.ok_or_else(|| {
        Failure::usage("a Redis server that can join is needed: --spare-shards 1, or -o add=NAME=redis://…")
    })
}

impl<'a> Operator<'a> {
    pub(in crate::scenario) const fn new(run: &'a Run, admin: &'a Admin, fault: Option<Fault>) -> Self {
        Self { run, admin, fault }
    }

    /// The shard that is drained, as the user says or the first one.
    pub(in crate::scenario) async fn first_shard(&self) -> Result<String, Failure> {
        if let Some(name) = DRAIN.given(&self.run.plan().load)? {
            return Ok(name);
        }
        let list = self.admin.call("shards/list", &json!({})).await?;
        let name = list["shards"][0]["name"].as_str();
        name.map(str::to_owned)
            .ok_or_else(|| Failure::run("the gateway knows no shards"))
    }

    /// Asks for a step and waits until everything has moved.
    pub(in crate::scenario) async fn carry(&mut self, step: &Step) -> Result<(), Failure> {
        let before = self.admin.counters().await;
        let plan = self.admin.call(step.method, &step.params).await?;
        let (asked, partitions) = (plan["generation"].as_u64(), plan["partitions"].as_u64());
        tokio::time::timeout(MOVED, self.moved(asked, step))
            .await
            .map_err(|_| Failure::run("the moves do not come to an end"))??;
        let (add, drain) = ("partitions_added", "partitions_drained");
        let name = if step.kind == Kind::Add { add } else { drain };
        self.run.total(name, partitions.unwrap_or_default());
        self.note(&before, &self.admin.counters().await);
        Ok(())
    }

    async fn moved(&mut self, asked: Option<u64>, step: &Step) -> Result<(), Failure> {
        loop {
            // Whoever coordinates may just have been killed.
            if let Ok(status) = self.admin.call("shards/status", &json!({})).await {
                let moves = &status["moves"];
                if moves.is_null() && status["generation"].as_u64() >= asked {
                    return Ok(());
                }
                if let (Some(left), Some(planned)) = (moves["left"].as_f64(), moves["planned"].as_f64()) {
                    if left < FAULT_AT * planned
                        && let Some(fault) = self.fault.take()
                    {
                        self.break_it(fault, step).await?;
                    }
                    let (done, of) = (whole(planned - left), whole(planned));
                    self.run.progress(done, of, "partitions that have moved");
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn break_it(&self, fault: Fault, step: &Step) -> Result<(), Failure> {
        let source = match step.kind {
            Kind::Add => self.first_shard().await?,
            Kind::Drain => step.params["name"].as_str().unwrap_or_default().to_owned(),
        };
        let target = step.params["name"].as_str().unwrap_or_default().to_owned();
        match fault {
            Fault::KillCoordinator => {
                let leader = self.admin.leader().await?;
                self.signal(&format!("gateway-{}", leader + 1), Signal::KILL)
            }
            Fault::PauseSource => self.pause(&source).await,
            Fault::PauseTarget => self.pause(&target).await,
        }
    }

    async fn pause(&self, process: &str) -> Result<(), Failure> {
        self.signal(process, Signal::STOP)?;
        tokio::time::sleep(PAUSE).await;
        self.signal(process, Signal::CONT)
    }

    fn signal(&self, process: &str, signal: Signal) -> Result<(), Failure> {
        let watched = &self.run.target().processes;
        let found = watched.iter().find(|it| it.name == process);
        let pid = found
            .and_then(|it| i32::try_from(it.pid).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| {
                Failure::usage(format!(
                    "no process {process} of this run can be broken: name it with --pid"
                ))
            })?;
        kill_process(pid, signal).map_err(|error| Failure::run(format!("{process}: {error}")))
    }

    /// What the gateways have counted during a step.
    fn note(&self, before: &Readings, after: &Readings) {
        let grown = after.growth_since(before);
        let received = |outcome: &str| {
            let labels = [("outcome", outcome)];
            grown.sum("campanile_messages_received_total", &labels)
        };
        let pauses = |part: &str| grown.sum(&format!("{PAUSES}_{part}"), &[]);
        for (name, value) in [
            (
                "partitions_moved",
                grown.sum("campanile_partitions_moved_total", &[]),
            ),
            ("bytes_moved", grown.sum("campanile_move_bytes_total", &[])),
            ("pauses", pauses("count")),
            ("pause_nanoseconds", pauses("sum") * 1e9),
            ("held_back", received("held_back")),
            ("held_back_dropped", received("dropped")),
        ] {
            self.run.total(name, whole(value));
        }
        for pause in longest_of_each(&grown.buckets(PAUSES)) {
            self.run.latency(PAUSE_AT_MOST, pause);
        }
        if after.0.iter().any(Option::is_none) {
            let why = "the moves as a gateway has counted them that did not answer after a step";
            self.run.unseen(why);
        }
    }
}

/// For each value in a histogram the upper end of its bucket; the longest end that there is, where a bucket has none.
fn longest_of_each(buckets: &[(f64, f64)]) -> Vec<Duration> {
    let mut each = Vec::new();
    let mut last = 0.0;
    for (end, count) in buckets {
        last = if end.is_finite() { *end } else { last };
        let count = usize::try_from(whole(*count))
            .unwrap_or(usize::MAX)
            .min(MOST_PAUSES);
        each.extend(std::iter::repeat_n(Duration::from_secs_f64(last), count));
    }
    each
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts, not negative"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_go_there_and_back() {
        let spare = Shard {
            name: "b".to_owned(),
            url: "redis://b".to_owned(),
        };
        let steps = steps(&spare, "a", 2);
        let said: Vec<_> = steps
            .iter()
            .map(|step| (step.kind, step.method, &step.params))
            .collect();
        assert_eq!(
            said,
            [
                (
                    Kind::Add,
                    "shards/add",
                    &json!({ "name": "b", "url": "redis://b" })
                ),
                (
                    Kind::Drain,
                    "shards/drain",
                    &json!({ "name": "a", "undo": false })
                ),
                (Kind::Add, "shards/drain", &json!({ "name": "a", "undo": true })),
                (
                    Kind::Drain,
                    "shards/drain",
                    &json!({ "name": "b", "undo": false })
                ),
            ]
        );
    }

    #[test]
    fn a_pause_is_known_by_the_upper_end_of_its_bucket() {
        let buckets = [(0.01, 2.0), (0.5, 1.0), (f64::INFINITY, 1.0)];
        let milliseconds: Vec<_> = longest_of_each(&buckets)
            .iter()
            .map(Duration::as_millis)
            .collect();
        assert_eq!(milliseconds, [10, 10, 500, 500]);
    }
}
