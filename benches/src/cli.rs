//! The command line.

mod compare;
mod load;
mod target;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::compare::Side;
use crate::execute::Order;
use crate::plan::PublishVia;
use crate::report::{Output, words};
use crate::stack::{StackOptions, guard};
use crate::workers::CrewOptions;
use crate::{Failure, bare, scenario};
use compare::CompareArguments;
use load::LoadArguments;
use target::TargetArguments;

/// Loads a server that speaks the client protocol of Campanile and Centrifugo, and measures what that costs.
#[derive(Debug, Parser)]
#[command(
    name = "campanile-bench",
    version,
    subcommand_precedence_over_arg = true,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do other than to measure.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to measure.
    #[command(flatten)]
    pub measure: MeasureArguments,
}

/// What the program can do beside measuring.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the scenarios, with their defaults
    List,
    /// Start Redis servers and gateways, print how they are reached, and keep them until interrupted
    Stack(Box<StackArguments>),
    /// Show stored reports again, or make pages of them
    Report(ReportArguments),
    /// Make a part of the load for a controller, which waits for it with --expect
    Worker(WorkerArguments),
    /// Serve the bare reference loop
    #[command(hide = true)]
    Bare(bare::Options),
    /// Become another program that ends with its parent
    #[command(name = guard::SUBCOMMAND, hide = true)]
    Guard {
        /// The parent's id
        parent: u32,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
}

/// What to start.
#[derive(Debug, Args)]
pub struct StackArguments {
    #[command(flatten)]
    target: TargetArguments,
}

impl StackArguments {
    /// What the stack is made of.
    #[must_use]
    pub fn options(&self) -> StackOptions {
        self.target.stack(&StackOptions::default())
    }
}

/// Whose load to make.
#[derive(Debug, Args)]
pub struct WorkerArguments {
    /// Host and port at which the controller waits for workers
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "stdio",
        requires = "token"
    )]
    pub join: Option<String>,
    /// The word that the controller has printed
    #[arg(long, env = "CAMPANILE_BENCH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Speak with the controller, which is the parent, over the standard streams
    #[arg(long, hide = true, conflicts_with = "join")]
    pub stdio: bool,
}

/// What to measure, and how it is told.
#[derive(Debug, Args)]
pub struct MeasureArguments {
    /// What to measure: `campanile-bench list` has them all
    pub scenario: Option<String>,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    target: TargetArguments,
    /// Processes of this machine that make the load; 0: only those that join
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: usize,
    /// Workers to wait for that join from other machines; the command with which they do is printed
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "compare")]
    expect: usize,
    /// Address at which workers from other machines join
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "0.0.0.0:7117",
        requires = "expect"
    )]
    listen: String,
    #[command(flatten)]
    compare: CompareArguments,
    #[command(flatten)]
    output: Output,
    /// Say nothing until the end, where the result comes
    #[arg(long, short)]
    pub quiet: bool,
}

/// Stored reports, and what to make of them.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Reports that `--json` has written; several are shown side by side
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

impl MeasureArguments {
    /// What is to be done.
    pub fn order(&self) -> Result<Order, Failure> {
        let name = self.scenario.as_deref();
        let name =
            name.ok_or_else(|| Failure::usage("which scenario? `campanile-bench list` has them all"))?;
        let scenario = scenario::find(name)?;
        let lasting = self.target.names_a_server() || self.compare.names_a_server();
        let mut plan = self.load.plan(scenario, lasting)?;
        let target = self.target.target()?;
        if target.as_ref().is_some_and(|target| target.apis.is_empty()) {
            if self.load.publish_via() == Some(PublishVia::Api) {
                return Err(Failure::usage("--publish-via api needs --api"));
            }
            plan.load.publish_via = PublishVia::Client;
        }
        Ok(Order {
            plan,
            target,
            stack: self.target.stack(&scenario.stack()),
            crew: CrewOptions {
                workers: self.workers,
                expect: self.expect,
                listen: self.listen.clone(),
            },
        })
    }
}

impl MeasureArguments {
    /// The server to compare that of `order` with, if one was named, and how many rounds.
    pub fn comparison(&self, order: &Order) -> Result<Option<(Side, usize)>, Failure> {
        let scenario = scenario::find(&order.plan.scenario)?;
        self.compare.comparison(scenario, order, &self.target)
    }

    /// Where the result goes.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }
}

/// Every scenario with its defaults and its own options, as `campanile-bench list` prints them.
#[must_use]
pub fn list() -> String {
    let line = |scenario: &&dyn scenario::Scenario| {
        let keys = scenario.keys().iter().map(|key| {
            let assignment = format!("{}={}", key.name, key.default);
            format!("          -o {assignment:<18}  {}\n", key.about)
        });
        format!(
            "{:<8}  {}\n          {}\n{}",
            scenario.name(),
            scenario.about(),
            words::load(*scenario, &scenario.defaults()),
            keys.collect::<String>(),
        )
    };
    scenario::ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
