//! Each rule is taken away once, and the simulator must notice.

use std::collections::BTreeSet;

use super::profile;
use crate::safeguard::Safeguard::{self, *};
use crate::safeguard::without;
use crate::simulator::run::run;
use crate::simulator::trace::Recording;

/// A rule, the trouble in which it is needed, and the first seed that shows it. What is searched is a few seeds more, so
/// that a change elsewhere, after which the same seed is another world, does not matter.
const EXPERIMENTS: &[(Safeguard, &str, u64)] = &[
    (Barrier, "calm", 7),
    (AckWaitsForSubscribes, "coordinators", 42),
    (HoldBack, "calm", 18),
    (HoldPastCommit, "gateways", 14),
    (MarkerGeneration, "calm", 19),
    (DrainEvaluated, "haste", 37),
    (RejoinAfresh, "expiry", 134),
    (ConnectionsRenewed, "havoc", 6),
    (ImportWipes, "calm", 3),
    (TokenChecked, "coordinators", 57),
    (TokenPerAttempt, "sleepers", 21),
    (GenerationChecked, "sleepers", 32),
    (SealedIsFinal, "sleepers", 8),
    (DirtyCopied, "calm", 1),
    (ResultsMove, "gateways", 7),
    (CleaningListed, "shards", 1),
    (IntentionFirst, "havoc", 6),
    (TargetInherits, "shards", 4),
    (LostTargetRenewsEpochs, "havoc", 14),
    (ReadsFenced, "gateways", 22),
    (IncarnationChecked, "havoc", 2),
    (AdmissionRenewsEpochs, "havoc", 7),
    (FloorTravels, "calm", 2),
];

/// How many seeds from the noted one on.
const SEARCHED: u64 = 60;

/// The rules without which no run has broken a promise, and why they are kept.
const IN_DEPTH: &[(Safeguard, &str)] = &[
    (
        AckCountsRequests,
        "needs an unsubscription and a subscription of one channel under way at the announcement, and nothing else there",
    ),
    (
        HoldFromAnyOther,
        "needs an eviction during a drain, which excuses the order of what two shards accepted",
    ),
    (
        NextMoveWaits,
        "needs a marker that is later than a whole second move; a move takes its time to wait for gateways",
    ),
    (
        RemovalWaits,
        "a shard leaves only after its leftovers are cleaned, by when its last words have usually arrived",
    ),
    (
        ExpiredPartitionStops,
        "an expired gateway is excused, and streams heal by their offsets",
    ),
    (
        ImportRequired,
        "token and generation refuse what comes late as well",
    ),
    (
        DirtyDeletes,
        "streams that are removed keep their positions, so that leftovers show only after a position expires",
    ),
    (
        SourceReread,
        "the source's record is checked by each copy as well",
    ),
    (
        DumpFenced,
        "the source's record is read again before the target opens as well",
    ),
    (
        CleanFenced,
        "the closing that precedes a cleaning is refused as well",
    ),
    (
        AdmitGeneration,
        "an admission decided on an old page is found out by its compare-and-set first",
    ),
];

#[test]
fn without_any_of_them_a_promise_is_broken() {
    let mut unnoticed = Vec::new();
    for (safeguard, name, first) in EXPERIMENTS {
        let profile = profile(name);
        let broken = (*first..first + SEARCHED).find_map(|seed| {
            let outcome = without(*safeguard, || run(&profile, seed, Recording::Nothing));
            Some((seed, outcome.violation?))
        });
        match broken {
            Some((seed, violation)) => println!(
                "| {safeguard:?} | {name} | {seed} | {} | `{}` |",
                violation.step, violation.invariant
            ),
            None => unnoticed.push(safeguard),
        }
    }
    assert!(unnoticed.is_empty(), "nothing breaks without {unnoticed:?}");
}

/// The table in the documentation names each rule with its experiment, or says why there is none.
#[test]
fn the_documentation_says_what_each_of_them_is_for() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/simulator.md");
    let text = std::fs::read_to_string(path).unwrap();
    let tried = EXPERIMENTS.iter().map(|(safeguard, name, _)| (*safeguard, *name));
    for (safeguard, name) in tried {
        let row = format!("| {safeguard:?} | {name} |");
        assert!(text.contains(&row), "docs/simulator.md has no row {row}");
    }
    for (safeguard, reason) in IN_DEPTH {
        let row = format!("| {safeguard:?} | {reason} |");
        assert!(text.contains(&row), "docs/simulator.md has no row {row}");
    }
    let named: BTreeSet<Safeguard> = EXPERIMENTS
        .iter()
        .map(|(safeguard, ..)| *safeguard)
        .chain(IN_DEPTH.iter().map(|(safeguard, _)| *safeguard))
        .collect();
    let all: BTreeSet<Safeguard> = Safeguard::ALL.iter().copied().collect();
    assert_eq!(named, all, "each safeguard has an experiment or a reason");
}
