//! The command line.
//!
//! * `arguments`: where the configuration comes from; each other command's arguments are beside what it does.
//! * `commands`, `config`, `token`: what needs no gateway.
//! * `trust`: which servers are believed.
//! * `api` (with `caller`, `table`), `shards`, `nodes`: what asks a gateway through its API.
//! * `client`: what is a client of a gateway.
//! * `parse`: from what was typed to a command, or to what is wrong with it.
//! * `exit`, `output`: how all of them end and print.

mod api;
mod arguments;
mod caller;
mod client;
mod commands;
mod config;
mod exit;
mod nodes;
mod output;
mod parse;
mod shards;
mod table;
mod token;
mod trust;

#[cfg(test)]
mod tests;

pub use arguments::ConfigArguments;
pub use client::{PubArguments, SubArguments, publish, sub};
pub use commands::{
    CompletionArguments, FingerprintArguments, VersionArguments, completions, fingerprint, version,
};
pub use config::{
    CheckArguments, GenerateArguments, ReferenceArguments, check_config, generate_config, reference,
};
pub use exit::Exit;
pub use nodes::{ChannelsArguments, NodesArguments, channels, nodes};
pub use output::{give_up, refuse, tell_scripts};
pub use parse::parse;
pub use shards::{ShardsArguments, shards};
pub use token::{CheckTokenArguments, TokenArguments, check_token, generate_token};

use clap::{Args, Parser, Subcommand};

/// Campanile: a horizontally sharded realtime message broker.
///
/// Without a command and a configuration it serves a page to try it on, with shards in its own memory.
#[derive(Debug, Parser)]
#[command(name = "campanile", version, after_help = Exit::table(), args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a gateway; what happens without a command
    Serve(ServeArguments),
    /// Say what is wrong with a configuration, and what in it is ignored
    Checkconfig(CheckArguments),
    /// Print a configuration to begin with, with secrets of its own
    Genconfig(GenerateArguments),
    /// Print every key of the configuration with its type, default, unit and meaning
    Configdoc(ReferenceArguments),
    /// Print a token signed with the configured key
    Gentoken(TokenArguments),
    /// Say what a token says, and why it is refused if it is
    Checktoken(CheckTokenArguments),
    /// Print the SHA-256 of a certificate, as clients pin it
    Fingerprint(FingerprintArguments),
    /// Look at the shards of a running deployment, and change which there are
    Shards(ShardsArguments),
    /// Look at the gateways of a running deployment
    Nodes(NodesArguments),
    /// Look at the channels that have subscribers
    Channels(ChannelsArguments),
    /// Print what is published in channels, as a client of a gateway
    Sub(SubArguments),
    /// Publish to a channel, as a client of a gateway
    Pub(PubArguments),
    /// Print what makes a shell complete this command line
    Completions(CompletionArguments),
    /// Print the version
    Version(VersionArguments),
}

impl Cli {
    /// The command, which is to serve unless another was given.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Print where it listens, and what it made up, as one JSON object
    #[arg(long)]
    json: bool,
}

impl ServeArguments {
    /// Where the configuration is, and whether what is printed is JSON.
    #[must_use]
    pub fn into_parts(self) -> (crate::config::Sources, bool) {
        (self.config.sources(), self.json)
    }
}
