//! What an operator does to the shards while the load goes on.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::Failure;
use crate::admin::Admin;
use crate::measure::scrape::Counters;
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
                let (left, planned) = (moves["left"].as_f64(), moves["planned"].as_f64());
                if let (Some(left), Some(planned), Some(fault)) = (left, planned, self.fault)
                    && left < FAULT_AT * planned
                {
                    self.fault = None;
                    self.break_it(fault, step).await?;
                }
                let numbers = [
                    planned.unwrap_or(0.0) - left.unwrap_or(0.0),
                    planned.unwrap_or(0.0),
                ];
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most 4096"
                )]
                let [done, of] = numbers.map(|number| number as u64);
                self.run.progress(done, of, "partitions that have moved");
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
    fn note(&self, before: &Counters, after: &Counters) {
        let more = |name: &str| after.grown_since(before, name, &[]);
        let received = |outcome: &str| {
            after.grown_since(
                before,
                "campanile_messages_received_total",
                &[("outcome", outcome)],
            )
        };
        let counts = [
            ("partitions_moved", more("campanile_partitions_moved_total")),
            ("bytes_moved", more("campanile_move_bytes_total")),
            ("pauses", more("campanile_move_pause_seconds_count")),
            (
                "pause_nanoseconds",
                more("campanile_move_pause_seconds_sum") * 1e9,
            ),
            ("held_back", received("held_back")),
            ("held_back_dropped", received("dropped")),
        ];
        for (name, value) in counts {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts, not negative"
            )]
            self.run.total(name, value as u64);
        }
    }
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
}
