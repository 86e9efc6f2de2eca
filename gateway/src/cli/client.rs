//! `campanile sub` and `campanile pub`: a client at a terminal, over the client crate.
//!
//! * `arguments`: what can be typed.
//! * `session`: a connected client, and its end.
//! * `subscribe`, `publish`: the two commands.
//! * `line`: what is printed.
//! * `failure`: what can go wrong, and what to do about it.

mod arguments;
mod failure;
mod line;
mod publish;
mod session;
mod subscribe;

#[cfg(test)]
mod tests;

pub use arguments::{PubArguments, SubArguments};

use std::future::Future;

use super::Exit;
use super::api::block_on;
use super::output::complain;
use failure::Failure;

/// Prints what is published in channels.
#[must_use]
pub fn sub(arguments: SubArguments) -> Exit {
    carry_out(arguments.server.json, || subscribe::run(arguments))
}

/// Publishes to a channel.
#[must_use]
pub fn publish(arguments: PubArguments) -> Exit {
    carry_out(arguments.server.json, || publish::run(arguments))
}

fn carry_out<F: Future<Output = Result<(), Failure>>>(json: bool, command: impl FnOnce() -> F) -> Exit {
    let outcome = block_on(json, async {
        let outcome = command().await;
        session::goodbye().await;
        outcome
    });
    match outcome {
        Ok(Ok(())) => Exit::Success,
        Ok(Err(failure)) => {
            if json {
                line::print(&failure.json());
            }
            complain(&failure.to_string());
            failure.exit()
        }
        Err(exit) => exit,
    }
}
