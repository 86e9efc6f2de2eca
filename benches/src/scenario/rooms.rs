//! `rooms`: many channels of a few subscribers each, as in chats.

use futures_util::future::BoxFuture;

use super::{Figure, Key, Scenario, delivery, demand};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;

/// `rooms`.
pub(super) struct Rooms;

/// Subscribers of a room.
const MEMBERS: Key = Key::count("members", "10", "subscribers of each channel");

impl Scenario for Rooms {
    fn name(&self) -> &'static str {
        "rooms"
    }

    fn about(&self) -> &'static str {
        "many channels of a few subscribers each; --channels does not count"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 1_000,
            rate: 500.0,
            ..Load::default()
        }
    }

    fn keys(&self) -> &'static [Key] {
        &[MEMBERS]
    }

    fn channels(&self, load: &Load) -> usize {
        rooms(load).unwrap_or(load.channels)
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::connections(self.name(), load, 1)?;
        demand::publications(self.name(), load)?;
        demand::at_least_one(self.name(), MEMBERS, load)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { delivery::deliver(run, rooms(&run.plan().load)?).await })
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        delivery::figures(outcome)
    }
}

/// How many rooms there are.
fn rooms(load: &Load) -> Result<usize, Failure> {
    let members: usize = MEMBERS.value(load)?;
    Ok(load.connections.div_ceil(members.max(1)))
}
