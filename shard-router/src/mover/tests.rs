//! Attempts on two shards that keep their records by the fence's own code: what every interruption comes to.

use std::num::NonZeroU64;
use std::time::Duration;

use super::*;
use crate::fence::OwnerState;
use crate::topology::{MoveHistory, ShardState};

mod courses;
mod world;

use world::{MOVE, World, options, partition, record, shard};

/// More than any attempt here asks.
const ENOUGH: usize = 400;

fn stable(world: &World, name: &str) -> bool {
    let moved = |state: &PartitionState| *state == PartitionState::Stable(shard(name));
    world.topology.partitions[..3].iter().all(moved)
}

fn stable_records(world: &mut World, state: OwnerState) -> bool {
    world.b().records.values().all(|record| record.state == state)
}

/// The kinds of fence commands asked for, in order, without repetition.
fn acts(world: &World) -> Vec<&'static str> {
    let mut acts: Vec<&'static str> = Vec::new();
    for ask in &world.log {
        let act = match ask {
            Ask::Token => "token",
            Ask::Gateways => "gateways",
            Ask::Records { .. } => "records",
            Ask::Wipe { .. } => "wipe",
            Ask::Scan { .. } => "scan",
            Ask::Dirty { .. } => "dirty",
            Ask::Copy { .. } => "copy",
            Ask::Restore { .. } => "restore",
            Ask::Pause(_) => "pause",
            Ask::Commit(_) => "commit",
            Ask::Done(_) => "done",
            Ask::Fence { commands, .. } => match commands[0].1 {
                FenceCommand::Import { .. } => "import",
                FenceCommand::Migrate { .. } => "migrate",
                FenceCommand::Seal { .. } => "seal",
                FenceCommand::Open { .. } => "open",
                FenceCommand::Abort { .. } => "abort",
                FenceCommand::Close { .. } => "close",
                _ => "other",
            },
        };
        if !acts.contains(&act) {
            acts.push(act);
        }
    }
    acts
}

#[test]
fn partitions_move_with_all_they_hold_while_it_changes() {
    let mut world = World::new(3, MoveHistory::Keep);
    let mut attempt = world.attempt();
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    assert!(stable(&world, "b"));
    world.assert_complete();
    assert!(attempt.progress().bytes > 30);
    let order = [
        "token", "records", "import", "wipe", "migrate", "scan", "copy", "restore", "dirty", "gateways",
        "seal", "open", "commit",
    ];
    assert_eq!(acts(&world), order);
    let floors = |world: &mut World| world.b().records.values().map(|record| record.floor).min();
    assert_eq!(
        floors(&mut world),
        Some(Generation(5)),
        "the floor moves with the partition"
    );
}

#[test]
fn only_results_move_where_history_is_dropped() {
    let mut world = World::new(3, MoveHistory::Drop);
    let mut attempt = world.attempt();
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    let results = |keys: &std::collections::BTreeMap<(Partition, String), String>| -> Vec<String> {
        let keys = keys.iter().filter(|((_, key), _)| key == "result");
        keys.map(|(_, value)| value.clone()).collect()
    };
    let truth = results(&world.truth);
    assert_eq!(results(&world.b().keys), truth);
    assert!(world.log.iter().all(|ask| !matches!(
        ask,
        Ask::Scan {
            scope: CopyScope::All,
            ..
        } | Ask::Dirty {
            scope: CopyScope::All,
            ..
        }
    )));
}

#[test]
fn few_partitions_are_closed_at_the_same_time() {
    let mut world = World::new(40, MoveHistory::Keep);
    let mut attempt = world.attempt();
    let mut closed_at_once = 0;
    while world.step(&mut attempt) {
        let open = |world: &mut World| {
            let serving = |shard: &world::FakeShard| {
                shard
                    .records
                    .values()
                    .filter(|record| record.state.serves())
                    .count()
            };
            serving(world.a()) + serving(world.b())
        };
        closed_at_once = closed_at_once.max(40 - open(&mut world));
    }
    assert_eq!(closed_at_once, 16);
    world.assert_complete();
}

/// What fails, done or not, ends the attempt before the seal and is tried again after it.
#[test]
fn any_ask_may_fail() {
    for done in [false, true] {
        for fatal in 0..ENOUGH {
            let mut world = World::new(3, MoveHistory::Keep);
            let mut attempt = world.attempt();
            let mut asked = 0;
            let mut failed = false;
            let outcome = loop {
                let ask = attempt.next_ask();
                if let Ask::Done(outcome) = ask {
                    break outcome;
                }
                failed |= asked == fatal;
                if asked == fatal && !matches!(ask, Ask::Pause(_)) {
                    if done {
                        world.perform(&ask);
                    }
                    attempt.answer(world.now, Answer::Failed("cut".to_owned()));
                } else {
                    world.step(&mut attempt);
                }
                asked += 1;
            };
            let handing_over = failed && outcome != Outcome::Finished && acts(&world).contains(&"seal");
            // What was sealed is open before the attempt may end, and only the commit is left to the next one.
            assert!(
                !handing_over || stable_records(&mut world, OwnerState::Open),
                "{:?}",
                acts(&world)
            );
            world.settle();
            assert!(stable(&world, "b"));
            world.assert_complete();
            if !failed {
                assert!(fatal > 15, "only {fatal} asks");
                break;
            }
        }
    }
}

/// Whoever comes after a coordinator that died takes its moves up, wherever it was.
#[test]
fn another_attempt_finishes_what_one_began() {
    for last in 0..ENOUGH {
        for done in [false, true] {
            let mut world = World::new(3, MoveHistory::Keep);
            let mut dying = world.attempt();
            let mut alive = true;
            for _ in 0..last {
                alive &= world.step(&mut dying);
            }
            if !alive {
                return assert!(last > 15);
            }
            if done
                && let ask = dying.next_ask()
                && !matches!(ask, Ask::Done(_))
            {
                world.perform(&ask);
            }
            drop(dying);
            world.settle();
            assert!(stable(&world, "b"));
            world.assert_complete();
        }
    }
    panic!("the attempt has no end");
}

/// One that wakes up after another has taken over, with any ask in its hand, does no harm.
#[test]
fn a_late_attempt_does_no_harm() {
    for pause in 0..ENOUGH {
        let mut world = World::new(3, MoveHistory::Keep);
        let mut late = world.attempt();
        let mut alive = true;
        for _ in 0..pause {
            alive &= world.step(&mut late);
        }
        if !alive {
            return assert!(pause > 15);
        }
        for meanwhile in [3, 9, 15, 21, ENOUGH] {
            let mut other = world.attempt();
            for _ in 0..meanwhile {
                if !world.step(&mut other) {
                    break;
                }
            }
            for _ in 0..2 {
                world.step(&mut late);
            }
        }
        world.run(&mut late);
        world.settle();
        world.assert_complete();
    }
    panic!("the attempt has no end");
}

#[test]
fn two_attempts_at_once_come_to_one_end() {
    for lead in 0..60 {
        let mut world = World::new(3, MoveHistory::Keep);
        let mut both = [world.attempt(), world.attempt()];
        for _ in 0..lead {
            world.step(&mut both[0]);
        }
        let mut going = true;
        while going {
            going = false;
            for attempt in &mut both {
                going |= world.step(attempt);
            }
        }
        world.settle();
        world.assert_complete();
    }
}

#[test]
fn a_gateway_that_does_not_follow_has_the_move_abandoned() {
    let mut world = World::new(3, MoveHistory::Keep);
    let report = GatewayReport {
        obstacle: Some("a channel".to_owned()),
        ..GatewayReport::applied(Generation(9))
    };
    world.gateways.push((GatewayId("slow".into()), report));
    let started = world.now;
    let mut attempt = world.attempt();
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    assert!(world.now - started >= options().barrier_timeout);
    let Decision::Abort(partitions, why) = &world.decisions[0] else {
        panic!("{:?}", world.decisions);
    };
    assert_eq!(partitions.len(), 3);
    assert_eq!(
        why.to_string(),
        "gateway slow has not applied it in time: a channel"
    );
    assert!(matches!(world.decisions[1], Decision::Aborted(_)));
    assert!(stable(&world, "a"));
    world.assert_complete();
}

#[test]
fn a_gateway_that_is_gone_is_not_waited_for() {
    let mut world = World::new(3, MoveHistory::Keep);
    let slow = (GatewayId("slow".into()), GatewayReport::applied(Generation(9)));
    world.gateways.push(slow);
    let mut attempt = world.attempt();
    while attempt.progress().stage != Stage::Barrier {
        world.step(&mut attempt);
    }
    for _ in 0..10 {
        world.step(&mut attempt);
    }
    assert!(!acts(&world).contains(&"seal"));
    world.gateways.pop();
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    assert!(stable(&world, "b"));
}

/// To abandon is decided at any moment by somebody else: it is carried out before the seal, and too late after it.
#[test]
fn an_abandonment_comes_in_time_or_too_late() {
    let mut ends = BTreeSet::new();
    for moment in 0..ENOUGH {
        let mut world = World::new(3, MoveHistory::Keep);
        let mut attempt = world.attempt();
        for _ in 0..moment {
            world.step(&mut attempt);
        }
        if Attempt::due(&world.topology).is_empty() {
            assert_eq!(ends, BTreeSet::from(["a", "b"]));
            return;
        }
        let all = (0..3).map(partition).collect();
        world.perform(&Ask::Commit(Decision::Abort(all, Abandonment::Overtaken)));
        world.run(&mut attempt);
        world.settle();
        world.assert_complete();
        ends.insert(if stable(&world, "a") { "a" } else { "b" });
    }
    panic!("the attempt has no end");
}

/// The target is evicted at any moment: before the seal the move is abandoned, after it the source takes the
/// partitions back, and after the commit it is no business of the move's.
#[test]
fn a_lost_target_gives_the_partitions_back() {
    let mut ways = BTreeSet::new();
    for moment in 0..ENOUGH {
        let mut world = World::new(3, MoveHistory::Keep);
        let mut attempt = world.attempt();
        for _ in 0..moment {
            world.step(&mut attempt);
        }
        if Attempt::due(&world.topology).is_empty() {
            assert_eq!(ways, BTreeSet::from(["abandoned", "reclaimed"]));
            return;
        }
        world.b().down = true;
        // It keeps trying while nobody has decided, and serves nobody a second time.
        for _ in 0..20 {
            world.step(&mut attempt);
        }
        if stable(&world, "b") {
            continue;
        }
        let topology = Arc::make_mut(&mut world.topology);
        topology.generation = topology.generation.next();
        topology.shards.get_mut(&shard("b")).unwrap().state = ShardState::Lost;
        // What the lost shard has open is nobody's.
        world.b().records.clear();
        world.run(&mut attempt);
        world.settle();
        for index in 0..3 {
            let (record, state) = (
                world.a().records[&partition(index)].clone(),
                &world.topology.partitions[index],
            );
            assert_eq!(*state.owner(), shard("a"));
            assert_eq!(record.state, OwnerState::Open);
            let reclaimed = record.floor > MOVE;
            ways.insert(if reclaimed { "reclaimed" } else { "abandoned" });
        }
    }
    panic!("the attempt has no end");
}

/// As long as a move is announced nobody new can be subscribed at a target that does not answer, and the source notes
/// more and more. What is sealed waits.
#[test]
fn a_target_that_does_not_answer_has_moves_abandoned_that_are_not_sealed() {
    let mut world = World::new(3, MoveHistory::Keep);
    let mut first = world.attempt();
    while !acts(&world).contains(&"dirty") {
        world.step(&mut first);
    }
    world
        .a()
        .records
        .insert(partition(2), record(MOVE, OwnerState::Sealed));
    world.b().down = true;
    let mut attempt = world.attempt();
    let outcome = world.run(&mut attempt);
    assert!(
        matches!(&outcome, Outcome::Stopped { reason, again: false } if reason == "b: down"),
        "{outcome:?}"
    );
    let silent = Abandonment::TargetSilent(shard("b"));
    let two = vec![partition(0), partition(1)];
    let expected = [Decision::Abort(two.clone(), silent), Decision::Aborted(two)];
    assert_eq!(world.decisions, expected);
    for index in 0..2 {
        assert_eq!(
            world.topology.partitions[index],
            PartitionState::Stable(shard("a"))
        );
        assert_eq!(world.a().records[&partition(index)].state, OwnerState::Open);
    }
    world.b().down = false;
    world.settle();
    assert_eq!(world.topology.partitions[2], PartitionState::Stable(shard("b")));
    world.assert_complete();
}

/// A target that was admitted anew has closed what it had, and what it had accepted may be gone.
#[test]
fn a_readmitted_target_is_not_believed() {
    for (source, epochs_end) in [(OwnerState::Migrating, false), (OwnerState::Sealed, true)] {
        let mut world = World::new(3, MoveHistory::Keep);
        for index in 0..3 {
            world.a().records.insert(partition(index), record(MOVE, source));
            let closed = record(Generation(12), OwnerState::Sealed);
            world.b().records.insert(partition(index), closed);
        }
        let topology = Arc::make_mut(&mut world.topology);
        topology.generation = Generation(12);
        topology.shards.get_mut(&shard("b")).unwrap().admitted = Generation(12);
        world.settle();
        for record in world.a().records.values() {
            assert_eq!(record.state, OwnerState::Open);
            assert_eq!(record.floor > MOVE, epochs_end);
        }
        world.assert_complete();
    }
}

/// Somebody has closed the partitions at their source by another decision: they are given back, but only once no late
/// attempt can open them at the target.
#[test]
fn a_source_that_was_closed_otherwise_takes_the_partitions_back() {
    let mut world = World::new(3, MoveHistory::Keep);
    let mut late = world.attempt();
    while !acts(&world).contains(&"dirty") {
        world.step(&mut late);
    }
    for index in 0..3 {
        let closed = record(Generation(12), OwnerState::Sealed);
        world.a().records.insert(partition(index), closed);
    }
    Arc::make_mut(&mut world.topology).generation = Generation(12);
    world.settle();
    assert!(matches!(world.decisions[..], [Decision::Reclaim(_)]));
    world.run(&mut late);
    for index in 0..3 {
        assert_eq!(world.a().records[&partition(index)].state, OwnerState::Open);
        assert_eq!(world.b().records[&partition(index)].state, OwnerState::Sealed);
    }
}

#[test]
fn a_source_that_lost_its_records_is_waited_for_and_others_move() {
    let mut world = World::new(3, MoveHistory::Keep);
    world.a().records.remove(&partition(1));
    let mut attempt = world.attempt();
    let Outcome::Stopped { reason, again } = world.run(&mut attempt) else {
        panic!("there was nothing to move");
    };
    assert_eq!(
        reason,
        format!("partition {} is not at its source a", partition(1))
    );
    assert!(!again);
    let moved = world.topology.partitions[..3].iter();
    assert_eq!(
        moved
            .filter(|state| **state == PartitionState::Stable(shard("b")))
            .count(),
        2
    );
}

#[test]
fn a_source_that_is_down_ends_an_attempt_before_the_seal_and_delays_it_after() {
    let mut world = World::new(3, MoveHistory::Keep);
    let mut attempt = world.attempt();
    while !acts(&world).contains(&"scan") {
        world.step(&mut attempt);
    }
    world.a().down = true;
    assert!(matches!(
        world.run(&mut attempt),
        Outcome::Stopped { again: false, .. }
    ));
    world.a().down = false;
    let mut attempt = world.attempt();
    while !acts(&world).contains(&"seal") {
        world.step(&mut attempt);
    }
    world.a().down = true;
    for _ in 0..50 {
        assert!(world.step(&mut attempt));
    }
    assert_eq!(attempt.progress().trouble.as_deref(), Some("down"));
    world.a().down = false;
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    world.assert_complete();
}

#[test]
fn what_was_copied_of_a_large_item_is_not_copied_again() {
    let mut world = World::new(1, MoveHistory::Keep);
    let long = "-".repeat(400);
    world.write(partition(0), "stream", &long);
    let mut attempt = world.attempt();
    while !acts(&world).contains(&"seal") {
        world.step(&mut attempt);
    }
    let before = world.log.len();
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    world.assert_complete();
    let reads = world.log[before..]
        .iter()
        .filter(|ask| matches!(ask, Ask::Copy { .. }));
    assert!(reads.count() < 10);
    assert!(
        world.log[..before]
            .iter()
            .filter(|ask| matches!(ask, Ask::Copy { .. }))
            .count()
            > 100
    );
}

#[test]
fn copying_before_the_seal_keeps_to_the_rate() {
    let mut world = World::new(3, MoveHistory::Keep);
    for index in 0..3 {
        world.write(partition(index), "stream", &"-".repeat(1000));
    }
    let started = world.now;
    let mut attempt = world.attempt_with(AttemptOptions {
        move_rate: NonZeroU64::new(1000),
        ..options()
    });
    assert_eq!(world.run(&mut attempt), Outcome::Finished);
    assert!(world.now - started >= Duration::from_secs(3));
    let from_seal = world
        .log
        .iter()
        .skip_while(|ask| {
            !matches!(ask, Ask::Fence { commands, .. } if matches!(commands[0].1, FenceCommand::Seal { .. }))
        })
        .filter(|ask| matches!(ask, Ask::Pause(_)));
    assert_eq!(from_seal.count(), 0);
    world.assert_complete();
}
