//! The command line.

mod compare;
mod load;
mod target;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::compare::Side;
use crate::execute::Order;
use crate::report::Output;
use crate::stack::{StackOptions, guard};
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

/// What to measure, and how it is told.
#[derive(Debug, Args)]
pub struct MeasureArguments {
    /// What to measure: `campanile-bench list` has them all
    pub scenario: Option<String>,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    target: TargetArguments,
    /// Processes that make the load
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    compare: CompareArguments,
    #[command(flatten)]
    output: Output,
    /// Say nothing until the end
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
        let plan = self.load.plan(scenario)?;
        scenario.check(&plan.load)?;
        Ok(Order {
            plan,
            target: self.target.target()?,
            stack: self.target.stack(&scenario.stack()),
            workers: self.workers.max(1),
        })
    }
}

impl MeasureArguments {
    /// The server to compare with, if one was named, and how many rounds.
    pub fn comparison(&self) -> Result<Option<(Side, usize)>, Failure> {
        self.compare.comparison()
    }

    /// Where the result goes.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }
}

/// Every scenario with its defaults, as `campanile-bench list` prints them.
#[must_use]
pub fn list() -> String {
    let line = |scenario: &&dyn scenario::Scenario| {
        let load = scenario.defaults();
        format!(
            "{:<8}  {}\n          {} connections, {} channels, {} publications/s of {} bytes, {:?}\n",
            scenario.name(),
            scenario.about(),
            load.connections,
            load.channels,
            load.rate,
            load.size,
            load.duration,
        )
    };
    scenario::ALL.iter().map(line).collect()
}
