//! What can be typed after `campanile shards`.

use std::io;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Aim, Failure};
use crate::cli::api::ApiArguments;

/// Which gateway to ask, how to answer, and for what.
#[derive(Args)]
pub struct ShardsArguments {
    #[command(flatten)]
    pub(super) api: ApiArguments,
    /// Stay until what is planned is done, and show how far it is
    #[arg(long, global = true)]
    pub(super) wait: bool,
    #[command(subcommand)]
    pub(super) command: ShardsCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum ShardsCommand {
    /// The shards, and what each holds
    List,
    /// What a change would move, without making it; without a change: what is planned at present
    Plan {
        #[command(subcommand)]
        change: Option<ChangeCommand>,
    },
    /// How far the moves are
    Status,
    #[command(flatten)]
    Change(ChangeCommand),
}

/// A change of the list of shards.
#[derive(Subcommand)]
pub(super) enum ChangeCommand {
    /// Take another shard into use: an empty Redis
    Add {
        /// Its name, which it keeps for its life
        name: String,
        /// redis://user:password@host:port/db, redis+sentinel://user:password@host:port,host:port/service, or rediss for redis in either: TLS; `-` reads it from standard input
        #[arg(value_name = "URL")]
        redis: String,
        /// Its share of the channels relative to the others'
        #[arg(long, default_value_t = 1)]
        weight: u32,
        /// It never loses what it acknowledged (appendfsync always)
        #[arg(long)]
        durable: bool,
    },
    /// Move everything off a shard, which stays on the list
    Drain {
        /// Which
        name: String,
        /// Use it again
        #[arg(long)]
        undo: bool,
    },
    /// Move everything off a shard and forget it
    Remove {
        /// Which
        name: String,
    },
    /// Give a shard another share
    Weight {
        /// Which
        name: String,
        /// Its share of the channels relative to the others'
        weight: u32,
    },
}

impl ChangeCommand {
    /// The method of the API, and its parameters.
    pub(super) fn call(self) -> Result<(&'static str, Value), Failure> {
        let (command, params) = self.params()?;
        let method = match command {
            "add" => "shards/add",
            "drain" => "shards/drain",
            "remove" => "shards/remove",
            _ => "shards/weight",
        };
        Ok((method, params))
    }

    /// The parameters that make `shards/plan` tell what would come of it.
    pub(super) fn hypothetical(self) -> Result<Value, Failure> {
        let (command, params) = self.params()?;
        Ok(json!({ command: params }))
    }

    /// When it is done.
    pub(super) fn aim(&self) -> Aim {
        match self {
            Self::Add { name, .. } | Self::Drain { name, undo: true } => Aim::Active(name.clone()),
            Self::Drain { name, undo: false } => Aim::Drained(name.clone()),
            Self::Remove { name } => Aim::Gone(name.clone()),
            Self::Weight { name, weight } => Aim::Weight(name.clone(), *weight),
        }
    }

    fn params(self) -> Result<(&'static str, Value), Failure> {
        Ok(match self {
            Self::Add {
                name,
                redis,
                weight,
                durable,
            } => {
                let url = if redis == "-" { from_input()? } else { redis };
                (
                    "add",
                    json!({ "name": name, "url": url, "weight": weight, "durable": durable }),
                )
            }
            Self::Drain { name, undo } => ("drain", json!({ "name": name, "undo": undo })),
            Self::Remove { name } => ("remove", json!({ "name": name })),
            Self::Weight { name, weight } => ("weight", json!({ "name": name, "weight": weight })),
        })
    }
}

/// A line of standard input: a URL with a password is neither in the list of processes nor in the shell's history.
fn from_input() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::Usage(format!("cannot read the URL from standard input: {error}")))?;
    Ok(line.trim().to_owned())
}

impl std::fmt::Debug for ShardsArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShardsArguments({:?})", self.command)
    }
}

impl std::fmt::Debug for ChangeCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL, which may hold a password.
        write!(f, "ChangeCommand({:?})", self.aim())
    }
}
