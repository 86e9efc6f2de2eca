//! What is next for a partition, from the topology and the records of both shards.

use std::cmp::Ordering;

use super::moves::{Move, Target};
use crate::fence::{OwnerRecord, OwnerState};
use crate::topology::Generation;

/// What is next for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Course {
    /// Open at the target: write it down.
    Commit,
    /// Sealed at the source: copy, open.
    Finish,
    /// Served by the source: the whole way.
    Carry,
    /// It cannot be carried, and the source serves it: decide to abandon it.
    Abandon,
    /// The target does not answer, and the source serves it: decide to abandon it.
    Forsake,
    /// To be abandoned is decided: let the source serve it again.
    Abort,
    /// Abandoned already: write it down.
    Aborted,
    /// To be abandoned is decided, but the target has it open: too late.
    Resume,
    /// Closed at the source, and never to be open at the target: the source opens it again.
    Reclaim,
    /// The source holds nothing that the move could start from. Whoever looks after that shard will notice that it lost
    /// its data, and decide.
    Wait,
}

/// What the source's record comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Serves it, and can be migrated from.
    Serving,
    /// Sealed for this move.
    Sealed,
    /// Serves it by a later decision: an abandonment that was carried out.
    Reopened,
    /// Closed by another decision than this move's.
    Closed,
    /// Nothing that the move can start from.
    Gone,
}

/// What is next for `one`, announced at `generation`, given the records at its source and its target (no record is
/// known of a target that is lost).
pub(super) fn course(
    one: &Move,
    generation: Generation,
    source: Option<&OwnerRecord>,
    target: Option<&OwnerRecord>,
) -> Course {
    // What a readmitted target has open may lack what it had acknowledged before.
    if one.target == Target::Same && is(target, generation, OwnerState::Open) {
        return match one.aborting {
            None => Course::Commit,
            // Sealed at the source, or it would not be open there.
            Some(_) => Course::Resume,
        };
    }
    let importable = |record: &OwnerRecord| {
        record.generation < generation
            || (record.generation == generation && record.state == OwnerState::Importing)
    };
    let fillable = one.target == Target::Same && target.is_none_or(importable);
    match source_of(source, generation) {
        Source::Reopened if one.aborting.is_some() => Course::Aborted,
        Source::Reopened => Course::Abandon,
        Source::Closed => Course::Reclaim,
        Source::Gone => Course::Wait,
        Source::Sealed if !fillable => Course::Reclaim,
        Source::Sealed | Source::Serving if one.aborting.is_some() => Course::Abort,
        Source::Sealed => Course::Finish,
        Source::Serving if !fillable => Course::Abandon,
        Source::Serving => Course::Carry,
    }
}

/// The same where the target does not answer. What the source has not sealed is not open at the target: that needs no
/// target to be abandoned, and while it is announced nobody new can be subscribed there. All else waits for the target.
pub(super) fn course_without_target(
    one: &Move,
    generation: Generation,
    source: Option<&OwnerRecord>,
) -> Course {
    match (source_of(source, generation), one.aborting) {
        (Source::Serving, None) => Course::Forsake,
        (Source::Serving, Some(_)) => Course::Abort,
        (Source::Reopened, Some(_)) => Course::Aborted,
        (Source::Reopened, None) | (Source::Sealed | Source::Closed | Source::Gone, _) => Course::Wait,
    }
}

fn source_of(record: Option<&OwnerRecord>, generation: Generation) -> Source {
    let Some(record) = record else {
        return Source::Gone;
    };
    match (record.state, record.generation.cmp(&generation)) {
        (OwnerState::Open, Ordering::Less) | (OwnerState::Migrating, Ordering::Equal) => Source::Serving,
        (OwnerState::Sealed, Ordering::Equal) => Source::Sealed,
        (OwnerState::Open | OwnerState::Migrating, Ordering::Greater) => Source::Reopened,
        (OwnerState::Sealed | OwnerState::Importing, _) => Source::Closed,
        (OwnerState::Open, Ordering::Equal) | (OwnerState::Migrating, Ordering::Less) => Source::Gone,
    }
}

fn is(record: Option<&OwnerRecord>, generation: Generation, state: OwnerState) -> bool {
    record.is_some_and(|record| record.generation == generation && record.state == state)
}
