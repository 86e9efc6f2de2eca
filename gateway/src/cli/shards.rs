//! `campanile shards`: looks at the shards of a running deployment and changes which there are, through a gateway's API.
//!
//! * `arguments`: what can be typed.
//! * `show`: answers as tables.
//! * `progress`: how far a plan has come, as a bar, as lines, and as JSON.
//! * `wait`: follows a plan to its end.

mod arguments;
mod progress;
mod show;
mod wait;

#[cfg(test)]
mod tests;

pub use arguments::ShardsArguments;

use std::io::{self, IsTerminal as _};

use serde_json::json;
use serde_json::value::RawValue;

use super::Exit;
use super::api::{Puzzling, block_on};
use super::caller::CallError;
use super::output::{fail, say};
use crate::shards::report::{PlanReport, ShardList, Status};
use arguments::{ChangeCommand, ShardsCommand};
use progress::Style;
use wait::{Aim, follow};

/// Carries the command out.
#[must_use]
pub fn shards(arguments: ShardsArguments) -> Exit {
    let json = arguments.api.json;
    match block_on(json, run(arguments)) {
        Ok(Ok(())) => Exit::Success,
        Ok(Err(failure)) => report(&failure, json),
        Err(exit) => exit,
    }
}

/// Why the command was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The plan ended otherwise than asked for.
    #[error("{0}")]
    Abandoned(String),
    /// The answer makes no sense.
    #[error(transparent)]
    Answer(#[from] Puzzling),
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Puzzling::from(error).into()
    }
}

async fn run(arguments: ShardsArguments) -> Result<(), Failure> {
    let ShardsArguments { api, wait, command } = arguments;
    let caller = api.caller()?;
    let screen = Screen {
        json: api.json,
        style: Style::of_output(api.json, io::stdout().is_terminal()),
    };
    match command {
        ShardsCommand::List | ShardsCommand::Plan { .. } if wait => {
            let text = "there is nothing to wait for; give --wait to a change, or to status";
            Err(Failure::Usage(text.to_owned()))
        }
        ShardsCommand::List => {
            let answer = caller.call("shards/list", &json!({})).await?;
            screen.show(&answer, |list: &ShardList| show::list(list))
        }
        ShardsCommand::Plan { change } => {
            let params = change.map_or_else(|| Ok(json!({})), ChangeCommand::hypothetical)?;
            let answer = caller.call("shards/plan", &params).await?;
            screen.show(&answer, |plan: &PlanReport| show::plan(plan))
        }
        ShardsCommand::Status if wait => follow(&caller, Aim::Idle, 0, screen.style).await,
        ShardsCommand::Status => {
            let answer = caller.call("shards/status", &json!({})).await?;
            screen.show(&answer, |status: &Status| show::status(status))
        }
        ShardsCommand::Change(change) => {
            let aim = change.aim();
            let (method, params) = change.call()?;
            let answer = caller.call(method, &params).await?;
            screen.show(&answer, |plan: &PlanReport| show::plan(plan))?;
            if !wait {
                return Ok(());
            }
            let plan: PlanReport = serde_json::from_str(answer.get())?;
            follow(&caller, aim, plan.generation, screen.style).await
        }
    }
}

/// Where answers go.
struct Screen {
    json: bool,
    style: Style,
}

impl Screen {
    /// The answer as it came, or as `text` makes it.
    fn show<T: serde::de::DeserializeOwned>(
        &self,
        answer: &RawValue,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            say(answer.get());
        } else {
            say(text(&serde_json::from_str(answer.get())?).trim_end());
        }
        Ok(())
    }
}

/// Tells what went wrong; for scripts on standard output as well.
fn report(failure: &Failure, json: bool) -> Exit {
    let (code, exit) = match failure {
        Failure::Usage(_) => (None, Exit::Usage),
        Failure::Call(error) => (error.code(), error.exit()),
        Failure::Abandoned(_) => (None, Exit::Refused),
        Failure::Answer(_) => (None, Exit::Failure),
    };
    fail(exit, json, code, &failure.to_string())
}
