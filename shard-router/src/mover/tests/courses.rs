//! What is next in every state that both records can be in.

use super::super::moves::{Move, Target};
use super::super::standing::{Course, course, course_without_target};
use super::world::{MOVE, partition, record, shard};
use crate::fence::{OwnerRecord, OwnerState};
use crate::topology::{Generation, MoveHistory};

const OLDER: Generation = Generation(7);
const NEWER: Generation = Generation(20);

fn one(target: Target, aborting: bool) -> Move {
    Move {
        partition: partition(0),
        from: shard("a"),
        to: shard("b"),
        aborting: aborting.then_some(Generation(12)),
        history: MoveHistory::Keep,
        target,
    }
}

fn next(
    target: Target,
    aborting: bool,
    at_source: Option<&OwnerRecord>,
    at_target: Option<&OwnerRecord>,
) -> Course {
    course(&one(target, aborting), MOVE, at_source, at_target)
}

fn some(generation: Generation, state: OwnerState) -> Option<OwnerRecord> {
    Some(record(generation, state))
}

#[test]
fn a_move_is_taken_up_where_both_records_have_it() {
    use Course::*;
    use OwnerState::*;
    let sources = [
        some(OLDER, Open),
        some(MOVE, Migrating),
        some(MOVE, Sealed),
        some(NEWER, Open),
        some(NEWER, Sealed),
        some(OLDER, Sealed),
        None,
    ];
    let table = [
        (None, [Carry, Carry, Finish, Abandon, Reclaim, Reclaim, Wait]),
        (
            some(OLDER, Sealed),
            [Carry, Carry, Finish, Abandon, Reclaim, Reclaim, Wait],
        ),
        (
            some(MOVE, Importing),
            [Carry, Carry, Finish, Abandon, Reclaim, Reclaim, Wait],
        ),
        (some(MOVE, Open), [Commit; 7]),
        (
            some(MOVE, Sealed),
            [Abandon, Abandon, Reclaim, Abandon, Reclaim, Reclaim, Wait],
        ),
        (
            some(NEWER, Sealed),
            [Abandon, Abandon, Reclaim, Abandon, Reclaim, Reclaim, Wait],
        ),
    ];
    for (at_target, courses) in table {
        for (at_source, expected) in sources.iter().zip(courses) {
            let found = next(Target::Same, false, at_source.as_ref(), at_target.as_ref());
            assert_eq!(found, expected, "{at_source:?} and {at_target:?}");
        }
    }
}

#[test]
fn an_abandonment_is_taken_up_too() {
    use Course::*;
    use OwnerState::*;
    let table = [
        (some(OLDER, Open), Abort),
        (some(MOVE, Migrating), Abort),
        (some(MOVE, Sealed), Abort),
        (some(NEWER, Open), Aborted),
        (some(NEWER, Sealed), Reclaim),
        (None, Wait),
    ];
    for (at_source, expected) in table {
        let found = next(
            Target::Same,
            true,
            at_source.as_ref(),
            some(MOVE, Importing).as_ref(),
        );
        assert_eq!(found, expected, "{at_source:?}");
        let found = next(Target::Same, true, at_source.as_ref(), some(MOVE, Open).as_ref());
        assert_eq!(found, Resume);
    }
}

#[test]
fn a_target_that_is_lost_or_readmitted_is_given_nothing() {
    use OwnerState::*;
    for target in [Target::Lost, Target::Readmitted] {
        for at_target in [None, some(MOVE, Open), some(MOVE, Importing)] {
            let next = |aborting, at_source: Option<OwnerRecord>| {
                next(target, aborting, at_source.as_ref(), at_target.as_ref())
            };
            assert_eq!(next(false, some(MOVE, Migrating)), Course::Abandon);
            assert_eq!(next(true, some(MOVE, Migrating)), Course::Abort);
            assert_eq!(next(false, some(MOVE, Sealed)), Course::Reclaim);
            assert_eq!(next(true, some(MOVE, Sealed)), Course::Reclaim);
        }
    }
}

#[test]
fn without_its_target_a_move_can_be_abandoned_as_long_as_the_source_serves() {
    use Course::*;
    use OwnerState::*;
    let table = [
        (some(OLDER, Open), Forsake, Abort),
        (some(MOVE, Migrating), Forsake, Abort),
        (some(NEWER, Open), Wait, Aborted),
        (some(MOVE, Sealed), Wait, Wait),
        (some(NEWER, Sealed), Wait, Wait),
        (None, Wait, Wait),
    ];
    for (at_source, going_on, aborting) in table {
        for (is_aborting, expected) in [(false, going_on), (true, aborting)] {
            let found = course_without_target(&one(Target::Same, is_aborting), MOVE, at_source.as_ref());
            assert_eq!(found, expected, "{at_source:?}");
        }
    }
}
