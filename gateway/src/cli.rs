//! The command line.

mod client;
mod commands;
mod shards;

pub use client::{PubArguments, SubArguments, publish, sub};
pub use commands::{check_config, fingerprint, generate_config, generate_token, give_up, refuse, version};
pub use shards::{ShardsArguments, shards};

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use campanile_common::HumanDuration;
use clap::{Args, Parser, Subcommand};

use crate::config::Sources;

/// How the process ends, for whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked to.
    Success = 0,
    /// It could not go on: the address is taken, the system refused something.
    Failure = 1,
    /// The command line is wrong. (Mostly the parser says so, with the same code.)
    Usage = 2,
    /// The configuration has errors.
    Configuration = 3,
    /// It was told to end a second time and did not wait for its connections.
    Forced = 4,
    /// A gateway refused what was asked of it, or gave it up.
    Refused = 5,
    /// It ended before everything had come that was asked for.
    Incomplete = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it did what it was asked to
  1  it could not go on, for example because the address is taken
  2  the command line is wrong
  3  the configuration has errors
  4  it was told to end a second time and did not wait for its connections
  5  a gateway refused what was asked of it, or gave it up
  6  it ended before everything had come that was asked for";

/// Campanile: a horizontally sharded realtime message broker.
///
/// Without a command and a configuration it serves a page to try it on, with shards in its own memory.
#[derive(Debug, Parser)]
#[command(name = "campanile", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ConfigArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a gateway; what happens without a command
    Serve(ConfigArguments),
    /// Say what is wrong with a configuration, and what in it is ignored
    Checkconfig(ConfigArguments),
    /// Print a configuration to begin with, with secrets of its own
    Genconfig,
    /// Print a token signed with the configured key
    Gentoken(TokenArguments),
    /// Print the SHA-256 of a certificate, as clients pin it
    Fingerprint(FingerprintArguments),
    /// Look at the shards of a running deployment, and change which there are
    Shards(ShardsArguments),
    /// Print what is published in channels, as a client of a gateway
    Sub(SubArguments),
    /// Publish to a channel, as a client of a gateway
    Pub(PubArguments),
    /// Print the version
    Version,
}

impl Cli {
    /// The command, which is to serve unless another was given.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// A .json, .yaml or .toml file; a file of Centrifugo v6 will do
    #[arg(short, long, value_name = "FILE", env = "CAMPANILE_CONFIG")]
    config: Option<PathBuf>,
    /// IP address to listen on
    #[arg(long = "http.address", alias = "http_server.address", value_name = "IP")]
    address: Option<IpAddr>,
    /// TCP port to listen on; 0 for any free one
    #[arg(long = "http.port", alias = "http_server.port", value_name = "PORT")]
    port: Option<u16>,
    /// trace, debug, info, warn, error or none
    #[arg(long = "log.level", value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json
    #[arg(long = "log.format", value_name = "FORMAT")]
    log_format: Option<String>,
    /// Set any key of the configuration, for example --set client.channel_limit=64
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl ConfigArguments {
    /// The configuration's sources. Keys set one by one come last and win.
    #[must_use]
    pub fn sources(self) -> Sources {
        let named = [
            (
                "http_server.address",
                self.address.map(|address| address.to_string()),
            ),
            ("http_server.port", self.port.map(|port| port.to_string())),
            ("log.level", self.log_level),
            ("log.format", self.log_format),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Sources::of_process(self.config, named.chain(self.set).collect())
    }
}

/// What the token is to say.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// The user; empty for an anonymous client
    #[arg(short, long, default_value = "")]
    user: String,
    /// Makes a subscription token for this channel instead of a connection token
    #[arg(long)]
    channel: Option<String>,
    /// How long the token is valid, for example 15m; 0s for ever
    #[arg(short, long, default_value = "1h")]
    ttl: HumanDuration,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Which certificate.
#[derive(Debug, Args)]
pub struct FingerprintArguments {
    /// A PEM file; the first certificate in it counts
    file: PathBuf,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write a key, an equals sign and a value")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        for line in [
            &["campanile", "--http.port", "0"][..],
            &["campanile", "serve", "--http_server.port=0"],
        ] {
            let Command::Serve(arguments) = Cli::parse_from(line).into_command() else {
                panic!("{line:?} does not serve");
            };
            assert_eq!(
                arguments.sources().flags,
                [("http_server.port".to_owned(), "0".to_owned())]
            );
        }
    }

    #[test]
    fn a_key_set_by_name_wins() {
        let line = [
            "campanile",
            "--log.level=info",
            "--set",
            "log.level=debug",
            "--set",
            "a=b=c",
        ];
        let Command::Serve(arguments) = Cli::parse_from(line).into_command() else {
            panic!("it does not serve");
        };
        let flags = arguments.sources().flags;
        assert_eq!(flags[1], ("log.level".to_owned(), "debug".to_owned()));
        assert_eq!(flags[2], ("a".to_owned(), "b=c".to_owned()));
    }
}
