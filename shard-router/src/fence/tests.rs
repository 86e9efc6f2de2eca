use super::*;
use FenceCommand::{Admit, Fresh, Open, Reopen};
use OwnerState::{Importing, Migrating, Sealed};

mod moving;

/// `(generation, state, token, floor)`, for tables that fit the screen.
type Row = Option<(u64, OwnerState, u64, u64)>;

fn record(row: Row) -> Option<OwnerRecord> {
    row.map(|(generation, state, token, floor)| OwnerRecord {
        generation: Generation(generation),
        state,
        token: Token(token),
        floor: Generation(floor),
    })
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Becomes(u64, OwnerState, u64, u64),
    Already,
    Refused,
}
use Verdict::{Already, Becomes, Refused};

fn verdict(before: Row, command: &FenceCommand) -> Verdict {
    match apply(record(before).as_ref(), command) {
        Ok(Some(new)) => Becomes(new.generation.0, new.state, new.token.0, new.floor.0),
        Ok(None) => Already,
        Err(RecordInTheWay) => Refused,
    }
}

fn check(table: &[(Row, FenceCommand, Verdict)]) {
    for (before, command, expected) in table {
        assert_eq!(verdict(*before, command), *expected, "{command:?} on {before:?}");
    }
}

const G7: Generation = Generation(7);

#[test]
fn admit_seals_what_is_older_and_raises_the_floor() {
    let admit = |keep_epochs| Admit {
        generation: G7,
        keep_epochs,
    };
    check(&[
        (None, admit(false), Becomes(7, Sealed, 0, 7)),
        (None, admit(true), Becomes(7, Sealed, 0, 7)),
        (
            Some((3, OwnerState::Open, 2, 3)),
            admit(false),
            Becomes(7, Sealed, 2, 7),
        ),
        (
            Some((3, OwnerState::Open, 2, 3)),
            admit(true),
            Becomes(7, Sealed, 2, 3),
        ),
        (Some((3, Migrating, 2, 3)), admit(false), Becomes(7, Sealed, 2, 7)),
        (Some((3, Sealed, 2, 3)), admit(false), Becomes(7, Sealed, 2, 7)),
        (Some((3, Importing, 2, 3)), admit(false), Becomes(7, Sealed, 2, 7)),
        (Some((7, Sealed, 2, 5)), admit(false), Already),
        (Some((7, OwnerState::Open, 2, 7)), admit(false), Refused),
        (Some((7, Migrating, 2, 7)), admit(false), Refused),
        (Some((7, Importing, 2, 7)), admit(false), Refused),
        (Some((8, Sealed, 2, 7)), admit(false), Refused),
    ]);
}

#[test]
fn reopen_opens_this_very_seal_and_nothing_else() {
    let reopen = Reopen { generation: G7 };
    check(&[
        (
            Some((7, Sealed, 2, 5)),
            reopen.clone(),
            Becomes(7, OwnerState::Open, 2, 5),
        ),
        (Some((7, OwnerState::Open, 2, 5)), reopen.clone(), Already),
        (Some((7, Importing, 2, 5)), reopen.clone(), Refused),
        (Some((7, Migrating, 2, 5)), reopen.clone(), Refused),
        (Some((6, Sealed, 2, 5)), reopen.clone(), Refused),
        (Some((8, Sealed, 2, 5)), reopen.clone(), Refused),
        (None, reopen, Refused),
    ]);
}

#[test]
fn fresh_takes_what_is_older_and_passes_only_to_later_tokens() {
    let fresh = Fresh {
        generation: G7,
        token: Token(4),
        unless_open: None,
    };
    check(&[
        (None, fresh.clone(), Becomes(7, Importing, 4, 7)),
        (
            Some((6, OwnerState::Open, 9, 2)),
            fresh.clone(),
            Becomes(7, Importing, 4, 7),
        ),
        (
            Some((6, Importing, 9, 2)),
            fresh.clone(),
            Becomes(7, Importing, 4, 7),
        ),
        (Some((7, Importing, 4, 7)), fresh.clone(), Already),
        (
            Some((7, Importing, 3, 7)),
            fresh.clone(),
            Becomes(7, Importing, 4, 7),
        ),
        (Some((7, Importing, 5, 7)), fresh.clone(), Refused),
        (Some((7, OwnerState::Open, 4, 7)), fresh.clone(), Refused),
        (Some((7, Sealed, 4, 7)), fresh.clone(), Refused),
        (Some((8, Importing, 4, 7)), fresh, Refused),
    ]);
}

#[test]
fn open_serves_only_what_its_own_token_imported() {
    let open = Open {
        generation: G7,
        token: Token(4),
    };
    check(&[
        (
            Some((7, Importing, 4, 7)),
            open.clone(),
            Becomes(7, OwnerState::Open, 4, 7),
        ),
        (Some((7, OwnerState::Open, 4, 7)), open.clone(), Already),
        (Some((7, Importing, 5, 7)), open.clone(), Refused),
        (Some((7, Importing, 3, 7)), open.clone(), Refused),
        (Some((7, Sealed, 4, 7)), open.clone(), Refused),
        (Some((6, Importing, 4, 6)), open.clone(), Refused),
        (Some((8, Importing, 4, 8)), open.clone(), Refused),
        (None, open, Refused),
    ]);
}

#[test]
fn no_command_of_an_old_generation_touches_a_newer_record() {
    let stale = [
        Admit {
            generation: G7,
            keep_epochs: false,
        },
        Reopen { generation: G7 },
        Fresh {
            generation: G7,
            token: Token(u64::MAX),
            unless_open: None,
        },
        Open {
            generation: G7,
            token: Token(1),
        },
    ];
    for state in [OwnerState::Open, Migrating, Sealed, Importing] {
        for command in &stale {
            assert_eq!(
                verdict(Some((8, state, 1, 1)), command),
                Refused,
                "{command:?} on {state:?}"
            );
        }
    }
}

#[test]
fn repeating_an_act_changes_nothing() {
    let commands = [
        Admit {
            generation: G7,
            keep_epochs: false,
        },
        Reopen { generation: G7 },
    ];
    let mut current = record(Some((3, OwnerState::Open, 1, 3)));
    for command in &commands {
        if let Some(new) = apply(current.as_ref(), command).unwrap() {
            current = Some(new);
        }
        assert_eq!(apply(current.as_ref(), command), Ok(None), "{command:?} again");
    }
}
