//! Follows a plan to its end.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::progress::{Progress, Style};
use super::{CallError, Failure};
use crate::cli::caller::Caller;
use crate::shards::report::Status;

/// How long no gateway may answer: one that restarts, or that a balancer replaces, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// That nothing is planned or moving.
    Idle,
    /// That this shard is in use.
    Active(String),
    /// That this shard is empty.
    Drained(String),
    /// That this shard is off the list.
    Gone(String),
    /// That this shard has this weight.
    Weight(String, u32),
}

/// Whether it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Going,
    /// It has.
    Done,
    /// It will not, for this reason.
    Abandoned(String),
}

impl Aim {
    /// What `status` says of it. A topology before `since` does not know of it yet.
    pub(super) fn judge(&self, since: u64, status: &Status) -> Verdict {
        if status.list.generation < since || status.moves.is_some() {
            return Verdict::Going;
        }
        let state = |name: &String| status.list.shards.iter().find(|shard| shard.name == *name);
        match self {
            Self::Idle => Verdict::Done,
            Self::Active(name) => match state(name) {
                Some(shard) if shard.state == "active" => Verdict::Done,
                other => given_up(name, other.map(|shard| shard.state.as_str())),
            },
            Self::Drained(name) => match state(name) {
                Some(shard) if shard.state == "active" || shard.state == "lost" || shard.partitions > 0 => {
                    given_up(name, Some(&shard.state))
                }
                Some(_) | None => Verdict::Done,
            },
            Self::Gone(name) => match state(name) {
                None => Verdict::Done,
                // Forgotten once every gateway has let go of it.
                Some(shard) if shard.state != "active" && shard.partitions == 0 => Verdict::Going,
                Some(shard) => given_up(name, Some(&shard.state)),
            },
            Self::Weight(name, weight) => match state(name) {
                Some(shard) if shard.weight == *weight && shard.state != "lost" => Verdict::Done,
                other => given_up(name, other.map(|shard| shard.state.as_str())),
            },
        }
    }
}

fn given_up(name: &str, state: Option<&str>) -> Verdict {
    let now = match state {
        None => "is not on the list any more".to_owned(),
        Some(state) => format!("is {state}"),
    };
    Verdict::Abandoned(format!(
        "the plan was given up: shard {name} {now}, and nothing is planned; see `campanile shards list`"
    ))
}

/// Shows how far it is until it is done or given up.
pub(super) async fn follow(caller: &Caller, aim: Aim, since: u64, style: Style) -> Result<(), Failure> {
    let mut progress = Progress::new(style);
    let ended = watch(caller, &aim, since, &mut progress).await;
    if ended.is_err() {
        progress.end();
    }
    ended
}

async fn watch(caller: &Caller, aim: &Aim, since: u64, progress: &mut Progress) -> Result<(), Failure> {
    let mut answered = Instant::now();
    loop {
        match caller.call("shards/status", &json!({})).await {
            Ok(answer) => {
                answered = Instant::now();
                let status: Status = serde_json::from_str(answer.get())?;
                match aim.judge(since, &status) {
                    Verdict::Going => progress.update(&status),
                    Verdict::Done => {
                        progress.done(&status);
                        return Ok(());
                    }
                    Verdict::Abandoned(why) => return Err(Failure::Abandoned(why)),
                }
            }
            Err(error) if error.is_passing() && answered.elapsed() < PATIENCE => {}
            Err(error) => return Err(lost(error)),
        }
        sleep(progress.interval()).await;
    }
}

/// What is planned goes on without a watcher.
fn lost(error: CallError) -> Failure {
    match error {
        CallError::Unreachable { authority, why } => {
            let why = format!("{why}; the moves go on as long as any gateway runs");
            CallError::Unreachable { authority, why }.into()
        }
        error => error.into(),
    }
}
