//! The command line.

mod load;
mod target;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::execute::Order;
use crate::stack::{StackOptions, guard};
use crate::{Failure, bare, scenario};
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
        self.target.stack()
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
    /// Run the same on another server in turns, A B A B: a URL, or `bare`, the least that fan-out can cost
    #[arg(long, value_name = "URL")]
    pub compare: Option<String>,
    /// Write everything to this file, as JSON; `-`: to standard output, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Say nothing until the end
    #[arg(long, short)]
    pub quiet: bool,
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
            stack: self.target.stack(),
            workers: self.workers.max(1),
        })
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
