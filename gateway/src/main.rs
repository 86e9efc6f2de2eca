//! The `campanile` binary.

use std::process::ExitCode;

use campanile_gateway::app;
use campanile_gateway::cli::{self, Cli, Command};
use clap::Parser as _;
use mimalloc::MiMalloc;

// Many small allocations of many threads, freed on other threads than they were made on.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let exit = match Cli::parse().into_command() {
        Command::Serve(arguments) => app::serve(&arguments.sources()),
        Command::Checkconfig(arguments) => cli::check_config(arguments),
        Command::Genconfig => cli::generate_config(),
        Command::Gentoken(arguments) => cli::generate_token(arguments),
        Command::Fingerprint(arguments) => cli::fingerprint(&arguments),
        Command::Shards(arguments) => cli::shards(arguments),
        Command::Sub(arguments) => cli::sub(arguments),
        Command::Pub(arguments) => cli::publish(arguments),
        Command::Version => cli::version(),
    };
    exit.into()
}
