//! The acts of a move, and what sequences of them can lead to.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use FenceCommand::{Abort, Close, Import, Migrate, Reclaim, Seal};

const SERVED: OwnerState = OwnerState::Open;
const G5: Generation = Generation(5);

#[test]
fn import_takes_what_is_older_under_the_sources_floor() {
    let import = Import {
        generation: G7,
        token: Token(4),
        floor: Generation(2),
    };
    check(&[
        (None, import.clone(), Becomes(7, Importing, 4, 2)),
        (
            Some((6, SERVED, 9, 6)),
            import.clone(),
            Becomes(7, Importing, 4, 2),
        ),
        (
            Some((6, Sealed, 9, 6)),
            import.clone(),
            Becomes(7, Importing, 4, 2),
        ),
        (
            Some((6, Importing, 9, 6)),
            import.clone(),
            Becomes(7, Importing, 4, 2),
        ),
        (
            Some((7, Importing, 3, 2)),
            import.clone(),
            Becomes(7, Importing, 4, 2),
        ),
        (Some((7, Importing, 4, 2)), import.clone(), Already),
        (Some((7, Importing, 5, 2)), import.clone(), Refused),
        (Some((7, SERVED, 3, 2)), import.clone(), Refused),
        (Some((7, Sealed, 3, 2)), import.clone(), Refused),
        (Some((8, Importing, 3, 2)), import.clone(), Refused),
        (Some((8, Sealed, 3, 2)), import, Refused),
    ]);
}

#[test]
fn migrate_begins_at_what_is_open_and_older() {
    let migrate = Migrate { generation: G7 };
    check(&[
        (None, migrate.clone(), Refused),
        (
            Some((6, SERVED, 2, 3)),
            migrate.clone(),
            Becomes(7, Migrating, 2, 3),
        ),
        (Some((6, Migrating, 2, 3)), migrate.clone(), Refused),
        (Some((6, Sealed, 2, 3)), migrate.clone(), Refused),
        (Some((6, Importing, 2, 3)), migrate.clone(), Refused),
        (Some((7, Migrating, 2, 3)), migrate.clone(), Already),
        (Some((7, SERVED, 2, 3)), migrate.clone(), Refused),
        (Some((7, Sealed, 2, 3)), migrate.clone(), Refused),
        (Some((8, SERVED, 2, 3)), migrate, Refused),
    ]);
}

#[test]
fn seal_ends_this_very_migration() {
    let seal = Seal { generation: G7 };
    check(&[
        (None, seal.clone(), Refused),
        (Some((7, Migrating, 2, 3)), seal.clone(), Becomes(7, Sealed, 2, 3)),
        (Some((7, Sealed, 2, 3)), seal.clone(), Already),
        (Some((7, SERVED, 2, 3)), seal.clone(), Refused),
        (Some((7, Importing, 2, 3)), seal.clone(), Refused),
        (Some((6, Migrating, 2, 3)), seal.clone(), Refused),
        (Some((8, Migrating, 2, 3)), seal, Refused),
    ]);
}

#[test]
fn abort_opens_again_what_was_not_sealed() {
    let abort = Abort {
        generation: G7,
        moving: G5,
    };
    check(&[
        (None, abort.clone(), Refused),
        (
            Some((5, Migrating, 2, 3)),
            abort.clone(),
            Becomes(7, SERVED, 2, 3),
        ),
        (Some((4, SERVED, 2, 3)), abort.clone(), Becomes(7, SERVED, 2, 3)),
        (Some((5, Sealed, 2, 3)), abort.clone(), Refused),
        (Some((5, Importing, 2, 3)), abort.clone(), Refused),
        (Some((7, SERVED, 2, 3)), abort.clone(), Already),
        (Some((6, SERVED, 2, 3)), abort.clone(), Refused),
        (Some((7, Sealed, 2, 3)), abort.clone(), Refused),
        (Some((8, SERVED, 2, 3)), abort, Refused),
    ]);
}

#[test]
fn reclaim_opens_what_was_sealed_under_a_new_floor() {
    let reclaim = Reclaim { generation: G7 };
    check(&[
        (None, reclaim.clone(), Refused),
        (Some((5, Sealed, 2, 3)), reclaim.clone(), Becomes(7, SERVED, 2, 7)),
        (
            Some((5, Importing, 2, 3)),
            reclaim.clone(),
            Becomes(7, SERVED, 2, 7),
        ),
        (Some((5, Migrating, 2, 3)), reclaim.clone(), Refused),
        (Some((5, SERVED, 2, 3)), reclaim.clone(), Refused),
        (Some((7, SERVED, 2, 7)), reclaim.clone(), Already),
        (Some((7, Sealed, 2, 3)), reclaim.clone(), Refused),
        (Some((8, Sealed, 2, 3)), reclaim, Refused),
    ]);
}

#[test]
fn close_seals_what_was_never_opened_and_keeps_its_generation() {
    let close = Close { through: G7 };
    check(&[
        (None, close.clone(), Already),
        (
            Some((5, Importing, 2, 3)),
            close.clone(),
            Becomes(5, Sealed, 2, 3),
        ),
        (
            Some((7, Importing, 2, 3)),
            close.clone(),
            Becomes(7, Sealed, 2, 3),
        ),
        (Some((5, Sealed, 2, 3)), close.clone(), Already),
        (Some((5, SERVED, 2, 3)), close.clone(), Refused),
        (Some((5, Migrating, 2, 3)), close.clone(), Refused),
        (Some((8, Importing, 2, 3)), close.clone(), Refused),
        (Some((8, Sealed, 2, 3)), close, Refused),
    ]);
}

#[test]
fn fresh_leaves_alone_what_the_move_has_opened() {
    let fresh = |unless_open| Fresh {
        generation: G7,
        token: Token(4),
        unless_open,
    };
    let taken = || Becomes(7, Importing, 4, 7);
    check(&[
        (Some((5, SERVED, 2, 3)), fresh(Some(G5)), Refused),
        (Some((4, SERVED, 2, 3)), fresh(Some(G5)), taken()),
        (Some((5, Importing, 2, 3)), fresh(Some(G5)), taken()),
        (Some((5, Sealed, 2, 3)), fresh(Some(G5)), taken()),
        (Some((5, SERVED, 2, 3)), fresh(None), taken()),
        (None, fresh(Some(G5)), taken()),
    ]);
}

/// Source and target of one move, generation 5; it was open at 3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    source: Option<(u64, u8, u64, u64)>,
    target: Option<(u64, u8, u64, u64)>,
}

const STATES: [OwnerState; 4] = [OwnerState::Open, Migrating, Sealed, Importing];

fn packed(record: &OwnerRecord) -> (u64, u8, u64, u64) {
    let state = STATES.iter().position(|state| *state == record.state).unwrap();
    let state = u8::try_from(state).unwrap();
    (record.generation.0, state, record.token.0, record.floor.0)
}

fn unpacked((generation, state, token, floor): (u64, u8, u64, u64)) -> OwnerRecord {
    record(Some((generation, STATES[usize::from(state)], token, floor))).unwrap()
}

fn serves(record: Option<(u64, u8, u64, u64)>) -> bool {
    record.is_some_and(|record| unpacked(record).state.serves())
}

fn after(record: Option<(u64, u8, u64, u64)>, command: &FenceCommand) -> Option<(u64, u8, u64, u64)> {
    let old = record.map(unpacked);
    match apply(old.as_ref(), command) {
        Ok(Some(new)) => Some(packed(&new)),
        Ok(None) | Err(RecordInTheWay) => record,
    }
}

/// Everything that any number of coordinators could do next: those who go on with the move, those who have decided to
/// abandon it at 6 or 8, and those who clean what is left. The target is opened only by those who see the source sealed.
fn next(pair: &Pair) -> Vec<Pair> {
    let on_source = [
        Migrate { generation: G5 },
        Seal { generation: G5 },
        Abort {
            generation: Generation(6),
            moving: G5,
        },
        Abort {
            generation: Generation(8),
            moving: G5,
        },
    ];
    let mut on_target = vec![Close {
        through: Generation(8),
    }];
    for token in [Token(1), Token(2)] {
        on_target.push(Import {
            generation: G5,
            token,
            floor: Generation(3),
        });
        if pair.source.is_some_and(|source| (source.0, source.1) == (5, 2)) {
            on_target.push(Open {
                generation: G5,
                token,
            });
        }
    }
    let sources = on_source.iter().map(|command| Pair {
        source: after(pair.source, command),
        ..pair.clone()
    });
    let targets = on_target.iter().map(|command| Pair {
        target: after(pair.target, command),
        ..pair.clone()
    });
    sources.chain(targets).collect()
}

/// All that can come of the move, in whatever order its acts arrive.
fn reachable() -> BTreeSet<Pair> {
    let start = Pair {
        source: Some((3, 0, 0, 3)),
        target: None,
    };
    let mut seen = BTreeSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(pair) = open.pop() {
        for next in next(&pair) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn source_and_target_never_serve_at_once_in_whatever_order_acts_arrive() {
    let all = reachable();
    assert!(all.iter().any(|pair| serves(pair.target)), "the move can end");
    assert!(
        all.iter()
            .any(|pair| serves(pair.source) && pair.target.is_some())
    );
    for pair in &all {
        assert!(!(serves(pair.source) && serves(pair.target)), "{pair:?}");
    }
}

#[test]
fn that_needs_the_seal_to_be_final() {
    let all = crate::safeguard::without(Safeguard::SealedIsFinal, reachable);
    assert!(all.iter().any(|pair| serves(pair.source) && serves(pair.target)));
}

fn command() -> impl Strategy<Value = FenceCommand> {
    let generation = || (1_u64..6).prop_map(Generation);
    let token = || (1_u64..4).prop_map(Token);
    prop_oneof![
        (generation(), any::<bool>()).prop_map(|(generation, keep_epochs)| Admit {
            generation,
            keep_epochs
        }),
        generation().prop_map(|generation| Reopen { generation }),
        (generation(), token(), prop::option::of(generation())).prop_map(
            |(generation, token, unless_open)| Fresh {
                generation,
                token,
                unless_open
            }
        ),
        (generation(), token()).prop_map(|(generation, token)| Open { generation, token }),
        (generation(), token(), generation()).prop_map(|(generation, token, floor)| Import {
            generation,
            token,
            floor
        }),
        generation().prop_map(|generation| Migrate { generation }),
        generation().prop_map(|generation| Seal { generation }),
        (generation(), generation())
            .prop_filter("abandoned after it was announced", |(a, m)| a > m)
            .prop_map(|(generation, moving)| Abort { generation, moving }),
        generation().prop_map(|generation| Reclaim { generation }),
        generation().prop_map(|through| Close { through }),
    ]
}

proptest! {
    #[test]
    fn records_only_go_forward_and_acts_are_idempotent(
        commands in prop::collection::vec(command(), 1..40)
    ) {
        let mut current: Option<OwnerRecord> = None;
        for command in commands {
            let Ok(next) = apply(current.as_ref(), &command) else { continue };
            let Some(next) = next else { continue };
            if let Some(old) = &current {
                prop_assert!(next.generation >= old.generation, "{old:?} became {next:?}");
                let unsealed = old.state == Sealed && next.state.serves();
                let by_admission = matches!(command, Reopen { .. });
                prop_assert!(!unsealed || by_admission || next.generation > old.generation);
                let closed = old.state == Importing && next.state.serves();
                let by_holder = matches!(&command, Open { token, .. } if *token == old.token);
                let reclaimed = matches!(command, Reclaim { .. });
                prop_assert!(!closed || by_holder || reclaimed);
            }
            prop_assert_eq!(apply(Some(&next), &command), Ok(None), "{:?} again", command);
            current = Some(next);
        }
    }
}
