//! Moves: announced, committed, abandoned, reclaimed, cleaned.

use super::kit::*;
use super::*;

const P: &[Partition] = &[];

fn p() -> Partition {
    partition(0)
}

fn refused(result: Result<Topology, TransitionError>) -> TransitionError {
    result.map(|topology| topology.generation).unwrap_err()
}

#[test]
fn a_planned_move_is_announced() {
    let topology = moving();
    assert_eq!(first(&topology), moving_state(None));
    assert_eq!((topology.plan.len(), topology.planned), (0, 1));
    assert_eq!(topology.left_to_move(), 1);
    let dropping = planned().announce(change(11), &[p()], MoveHistory::Drop).unwrap();
    let PartitionState::Moving { history, .. } = first(&dropping) else {
        panic!("not moving");
    };
    assert_eq!(history, MoveHistory::Drop);
}

#[test]
fn only_what_is_planned_stable_and_between_usable_shards_is_announced() {
    let announce = |topology: &Topology| refused(topology.announce(change(11), &[p()], MoveHistory::Keep));
    assert_eq!(announce(&settled(4)), TransitionError::NotPlanned(p()));
    let mut topology = planned();
    topology.partitions[0] = opening(0, 10, OpeningContent::Keep);
    assert_eq!(announce(&topology), TransitionError::NotStable(p()));
    for shard in [0, 1] {
        let mut topology = planned();
        topology.shards.get_mut(&id(shard)).unwrap().incarnation = None;
        assert_eq!(announce(&topology), TransitionError::NotUsable(id(shard)));
    }
    let mut topology = planned();
    topology.shards.get_mut(&id(1)).unwrap().state = ShardState::Draining;
    assert_eq!(announce(&topology), TransitionError::NotUsable(id(1)));
}

#[test]
fn an_announcement_takes_the_place_of_cleaning_at_the_target() {
    let mut topology = planned();
    topology.cleaning.insert((id(1), p()), Generation(10));
    topology.cleaning.insert((id(2), p()), Generation(10));
    let announced = topology.announce(change(11), &[p()], MoveHistory::Keep).unwrap();
    assert_eq!(first(&announced), moving_state(None));
    assert_eq!(cleaning(&announced), vec![(id(2), 10)]);
}

#[test]
fn a_committed_move_leaves_its_source_to_be_cleaned() {
    let done = moving().commit(change(12), &[(p(), Generation(11))]).unwrap();
    assert_eq!(first(&done), PartitionState::Stable(id(1)));
    assert_eq!(cleaning(&done), vec![(id(0), 12)]);
    assert_eq!(done.planned, 0, "the plan is carried out");
}

#[test]
fn a_commit_of_another_move_changes_nothing() {
    let done = moving().commit(
        change(12),
        &[(p(), Generation(9)), (partition(1), Generation(11))],
    );
    let done = done.unwrap();
    assert_eq!(done.partitions, moving().partitions);
    assert_eq!(cleaning(&done), vec![]);
}

#[test]
fn a_commit_that_comes_after_its_target_is_gone_changes_nothing() {
    let done = [(p(), Generation(11))];
    let evicted = moving().evict(change(12), &id(1)).unwrap();
    let committed = evicted.commit(change(13), &done).unwrap();
    assert_eq!(first(&committed), moving_state(Some(12)));
    let restarted = moving().admit(change(12), &id(1), Incarnation::new("another"), Generation(12));
    let committed = restarted.unwrap().commit(change(13), &done).unwrap();
    assert_eq!(first(&committed), moving_state(Some(12)));
}

#[test]
fn a_move_is_abandoned_and_planned_again() {
    let aborting = moving().abort(change(12), &[p()]).unwrap();
    assert_eq!(first(&aborting), moving_state(Some(12)));
    let twice = aborting.abort(change(13), &[p()]).unwrap();
    assert_eq!(
        first(&twice),
        moving_state(Some(12)),
        "the decision keeps its generation"
    );
    let back = twice.aborted(change(14), &[p()]).unwrap();
    assert_eq!(first(&back), PartitionState::Stable(id(0)));
    assert_eq!(cleaning(&back), vec![(id(1), 14)]);
    assert_eq!(back.plan, BTreeMap::from([(p(), id(1))]));
    assert_eq!(back.planned, 1);
}

#[test]
fn what_was_not_decided_to_be_abandoned_is_not() {
    let not_moving = TransitionError::NotMoving(p());
    assert_eq!(refused(moving().aborted(change(12), &[p()])), not_moving);
    assert_eq!(refused(settled(4).abort(change(12), &[p()])), not_moving);
    assert_eq!(refused(settled(4).resume(change(12), &[p()])), not_moving);
    assert_eq!(refused(settled(4).reclaim(change(12), &[p()])), not_moving);
}

#[test]
fn a_move_that_is_sealed_already_goes_on() {
    let aborting = moving().abort(change(12), &[p()]).unwrap();
    let on = aborting.resume(change(13), &[p()]).unwrap();
    assert_eq!(first(&on), moving_state(None));
    let done = on.commit(change(14), &[(p(), Generation(11))]).unwrap();
    assert_eq!(first(&done), PartitionState::Stable(id(1)));
}

#[test]
fn a_sealed_source_is_reclaimed_from_a_target_that_is_gone() {
    let evicted = moving().evict(change(12), &id(1)).unwrap();
    assert_eq!(first(&evicted), moving_state(Some(12)));
    assert!(evicted.target_gone(p()));
    let gone = refused(evicted.resume(change(13), &[p()]));
    assert_eq!(gone, TransitionError::TargetGone(p()));
    let reclaimed = evicted.reclaim(change(13), &[p()]).unwrap();
    assert_eq!(first(&reclaimed), opening(0, 13, OpeningContent::Reclaim));
    assert_eq!(
        cleaning(&reclaimed),
        vec![],
        "a lost shard is cleaned when it comes back"
    );
    assert!(!reclaimed.plan.contains_key(&p()));
}

#[test]
fn what_was_closed_at_both_shards_is_reclaimed_cleaned_and_planned_again() {
    let reclaimed = moving().reclaim(change(12), &[p()]).unwrap();
    assert_eq!(first(&reclaimed), opening(0, 12, OpeningContent::Reclaim));
    assert_eq!(reclaimed.plan.get(&p()), Some(&id(1)));
    assert!(reclaimed.cleaning.contains_key(&(id(1), p())));
}

#[test]
fn a_target_that_was_admitted_anew_is_gone_as_well() {
    let run = Incarnation::new("another");
    let topology = moving().admit(change(12), &id(1), run, Generation(12)).unwrap();
    assert_eq!(first(&topology), moving_state(Some(12)));
    assert!(topology.target_gone(p()));
    let reclaimed = topology.reclaim(change(13), &[p()]).unwrap();
    assert_eq!(first(&reclaimed), opening(0, 13, OpeningContent::Reclaim));
    assert_eq!(cleaning(&reclaimed), vec![(id(1), 13)]);
    assert_eq!(
        reclaimed.plan,
        BTreeMap::from([(p(), id(1))]),
        "the plan is still so"
    );
}

#[test]
fn a_restarted_source_leaves_its_partitions_to_their_targets() {
    let run = Incarnation::new("another");
    let topology = moving().admit(change(13), &id(0), run, Generation(12)).unwrap();
    let content = OpeningContent::FreshUnlessOpen(Generation(11));
    assert_eq!(first(&topology), opening(1, 13, content));
    assert_eq!(cleaning(&topology), vec![(id(0), 13)]);
    let other = topology.partition(partition(4));
    assert_eq!(*other, opening(0, 12, OpeningContent::Keep));
}

#[test]
fn a_restarted_source_keeps_what_has_no_target_any_more() {
    let evicted = moving().evict(change(12), &id(1)).unwrap();
    let run = Incarnation::new("another");
    let topology = evicted.admit(change(13), &id(0), run, Generation(13)).unwrap();
    assert_eq!(first(&topology), opening(0, 13, OpeningContent::Keep));
}

#[test]
fn what_was_cleaned_is_taken_off_the_list_if_nothing_was_added() {
    let done = moving().commit(change(12), &[(p(), Generation(11))]).unwrap();
    let earlier = done
        .cleaned(change(13), &id(0), &[(p(), Generation(11))])
        .unwrap();
    assert_eq!(cleaning(&earlier), vec![(id(0), 12)]);
    let cleaned = done
        .cleaned(change(13), &id(0), &[(p(), Generation(12))])
        .unwrap();
    assert_eq!(cleaning(&cleaned), vec![]);
}

#[test]
fn a_shard_that_is_admitted_is_cleaned_through_what_closed_it() {
    let done = moving().commit(change(12), &[(p(), Generation(11))]).unwrap();
    let run = Incarnation::new("another");
    let admitted = done.admit(change(15), &id(0), run, Generation(15)).unwrap();
    assert_eq!(cleaning(&admitted), vec![(id(0), 15)]);
}

#[test]
fn no_transition_of_a_move_goes_back() {
    let old = |result: Result<Topology, TransitionError>| {
        assert!(matches!(refused(result), TransitionError::NotNewer { .. }));
    };
    let now = change(11);
    old(moving().announce(now, P, MoveHistory::Keep));
    old(moving().abort(now, P));
    old(moving().resume(now, P));
    old(moving().aborted(now, P));
    old(moving().reclaim(now, P));
    old(moving().commit(now, &[]));
    old(moving().cleaned(now, &id(0), &[]));
    old(moving().evict(now, &id(0)));
    old(moving().forget(now, &id(0)));
}
