//! The simulator's own tests: many seeds, one trace per seed, and what each safeguard is there for.

use std::fmt::Write as _;
use std::thread;

use super::profile::Profile;
use super::run::{Outcome, run};
use super::trace::Recording;

mod safeguards;

/// The profiles, by the trouble they make.
fn profiles() -> [Profile; 8] {
    [
        Profile::calm(),
        Profile::haste(),
        Profile::gateways(),
        Profile::expiry(),
        Profile::coordinators(),
        Profile::sleepers(),
        Profile::shards(),
        Profile::havoc(),
    ]
}

fn profile(name: &str) -> Profile {
    let found = profiles().into_iter().find(|profile| profile.name == name);
    found.expect("there is a profile of that name")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Everything that is needed to look at a broken promise, if one was broken.
fn report(profile: &Profile, outcome: &Outcome) -> Option<String> {
    let violation = outcome.violation.as_ref()?;
    let seed = outcome.seed;
    let again = run(profile, seed, Recording::Last);
    let mut words = format!(
        "{} seed {seed}: {violation}\n\nthe last events:\n{}",
        profile.name, again.lines
    );
    let _ = write!(
        words,
        "\nall of it: SIMULATOR_PROFILE={} SIMULATOR_SEED={seed} cargo test -p campanile-shard-router simulator -- --nocapture",
        profile.name
    );
    Some(words)
}

/// Runs `count` seeds from `first` on, of every profile in turn, half of them on another thread.
fn keep_promises(first: u64, count: u64) {
    let half = |parity: u64| {
        move || {
            for seed in (first..first + count).filter(|seed| seed % 2 == parity) {
                for profile in profiles() {
                    let outcome = run(&profile, seed, Recording::Nothing);
                    if let Some(words) = report(&profile, &outcome) {
                        return Err(words);
                    }
                }
            }
            Ok(())
        }
    };
    let other = thread::spawn(half(1));
    let results = [half(0)(), other.join().expect("a run does not panic")];
    for result in results {
        if let Err(words) = result {
            panic!("{words}");
        }
    }
}

/// `SIMULATOR_RUNS` seeds of each profile, from `SIMULATOR_FROM` on; a handful where nobody says how many.
#[test]
fn every_promise_is_kept() {
    if number("SIMULATOR_SEED").is_none() {
        keep_promises(
            number("SIMULATOR_FROM").unwrap_or(1),
            number("SIMULATOR_RUNS").unwrap_or(5),
        );
    }
}

/// A publication whose answer was lost, made again at another shard, began a stream there under the name of the first.
#[test]
fn a_publication_that_is_made_again_begins_no_second_stream_under_one_name() {
    let profile = profile("shards");
    let outcome = run(&profile, 100_094, Recording::Nothing);
    if let Some(words) = report(&profile, &outcome) {
        panic!("{words}");
    }
}

/// Shows the whole of one run: `SIMULATOR_SEED` in `SIMULATOR_PROFILE`.
#[test]
fn a_run_is_shown_on_request() {
    let Some(seed) = number("SIMULATOR_SEED") else {
        return;
    };
    let name = std::env::var("SIMULATOR_PROFILE").unwrap_or_else(|_| "calm".to_owned());
    let outcome = run(&profile(&name), seed, Recording::Everything);
    println!("{}", outcome.lines);
    if let Some(violation) = outcome.violation {
        panic!("{name} seed {seed}: {violation}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for profile in profiles() {
        let [one, other] = [(), ()].map(|()| run(&profile, 7, Recording::Last));
        assert!(one.steps > 1000, "{} does next to nothing", profile.name);
        assert_eq!(one.fingerprint, other.fingerprint, "{}", profile.name);
        assert_eq!(one.lines, other.lines, "{}", profile.name);
        let unrecorded = run(&profile, 7, Recording::Nothing);
        assert_eq!(
            one.steps, unrecorded.steps,
            "{}: looking changes it",
            profile.name
        );
        let another = run(&profile, 8, Recording::Last);
        assert_ne!(one.fingerprint, another.fingerprint, "{}", profile.name);
    }
}
