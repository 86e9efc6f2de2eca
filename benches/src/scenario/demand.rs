//! What a load must have, so that a run of it checks something.

use crate::Failure;
use crate::plan::Load;
use crate::scenario::Key;

/// At least so many connections.
pub(super) fn connections(scenario: &str, load: &Load, least: usize) -> Result<(), Failure> {
    let enough = load.connections >= least;
    let more = || Failure::usage(format!("{scenario}: at least {least} --connections are needed"));
    enough.then_some(()).ok_or_else(more)
}

/// Publications.
pub(super) fn publications(scenario: &str, load: &Load) -> Result<(), Failure> {
    let nothing = || {
        Failure::usage(format!(
            "{scenario}: nothing is published at --rate {}",
            load.rate
        ))
    };
    (load.rate > 0.0).then_some(()).ok_or_else(nothing)
}

/// Of this key, which counts what the scenario is about.
pub(super) fn at_least_one(scenario: &str, key: Key, load: &Load) -> Result<(), Failure> {
    match key.value(load)? {
        0_usize => Err(Failure::usage(format!("{scenario}: -o {}: at least 1", key.name))),
        _ => Ok(()),
    }
}
