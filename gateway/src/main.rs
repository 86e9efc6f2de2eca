//! The `campanile` binary.

use std::env;
use std::process::ExitCode;

use campanile_gateway::app;
use campanile_gateway::cli::{self, Command};
use mimalloc::MiMalloc;

// Many small allocations of many threads, freed on other threads than they were made on.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(env::args_os()) {
        Ok(command) => command,
        Err(exit) => return exit.into(),
    };
    let exit = match command {
        Command::Serve(arguments) => {
            let (sources, json) = arguments.into_parts();
            app::serve(&sources, json)
        }
        Command::Checkconfig(arguments) => cli::check_config(arguments),
        Command::Genconfig(arguments) => cli::generate_config(&arguments),
        Command::Configdoc(arguments) => cli::reference(&arguments),
        Command::Gentoken(arguments) => cli::generate_token(arguments),
        Command::Checktoken(arguments) => cli::check_token(arguments),
        Command::Fingerprint(arguments) => cli::fingerprint(&arguments),
        Command::Shards(arguments) => cli::shards(arguments),
        Command::Nodes(arguments) => cli::nodes(&arguments),
        Command::Channels(arguments) => cli::channels(&arguments),
        Command::Sub(arguments) => cli::sub(arguments),
        Command::Pub(arguments) => cli::publish(arguments),
        Command::Completions(arguments) => cli::completions(&arguments),
        Command::Version(arguments) => cli::version(&arguments),
    };
    exit.into()
}
