//! Shards that are evicted, come back, or are forgotten.

use super::kit::*;
use super::*;

#[test]
fn an_evicted_shards_partitions_open_afresh_on_the_others() {
    let before = settled(4);
    let evicted = before.evict(change(11), &id(0)).unwrap();
    evicted.validate().unwrap();
    let entry = &evicted.shards[&id(0)];
    assert_eq!((entry.state, &entry.incarnation), (ShardState::Lost, &None));
    for (partition, state) in evicted.states() {
        match before.partition(partition) {
            PartitionState::Stable(owner) if *owner == id(0) => {
                let new = state.owner().clone();
                assert!(new != id(0));
                let fresh = PartitionState::Opening {
                    shard: new,
                    generation: Generation(11),
                    content: OpeningContent::Fresh,
                };
                assert_eq!(*state, fresh);
            }
            kept => assert_eq!(state, kept),
        }
    }
    let shares = evicted.shares();
    let most = shares.values().max().unwrap();
    assert!(*most <= COUNT.div_ceil(3) * 105 / 100 + 1, "{shares:?}");
}

#[test]
fn what_moved_away_from_an_evicted_shard_goes_to_its_target() {
    let evicted = moving().evict(change(12), &id(0)).unwrap();
    let content = OpeningContent::FreshUnlessOpen(Generation(11));
    assert_eq!(first(&evicted), opening(1, 12, content));
    let third = crate::safeguard::without(crate::safeguard::Safeguard::TargetInherits, || {
        moving().evict(change(12), &id(0)).unwrap()
    });
    assert!(
        *first(&third).owner() != id(1),
        "without the rule a third shard takes it"
    );
}

#[test]
fn what_moved_between_two_lost_shards_opens_elsewhere() {
    let target = moving().evict(change(12), &id(1)).unwrap();
    let both = target.evict(change(13), &id(0)).unwrap();
    let PartitionState::Opening {
        shard,
        generation,
        content,
    } = first(&both)
    else {
        panic!("not opening");
    };
    assert!(shard == id(2) || shard == id(3));
    assert_eq!((generation, content), (Generation(13), OpeningContent::Fresh));
}

#[test]
fn a_planned_partition_of_an_evicted_shard_opens_where_it_was_to_go() {
    let evicted = planned().evict(change(11), &id(0)).unwrap();
    assert_eq!(first(&evicted), opening(1, 11, OpeningContent::Fresh));
    assert!(evicted.plan.is_empty());
}

#[test]
fn plans_toward_an_evicted_shard_are_given_up_or_find_another() {
    let evicted = planned().evict(change(11), &id(1)).unwrap();
    assert_eq!(first(&evicted), PartitionState::Stable(id(0)));
    assert!(evicted.plan.is_empty());
    assert_eq!(evicted.planned, 0);

    // What must leave a draining shard still must.
    let drained = settled(4).apply(change(11), &ShardRequest::Drain(id(0))).unwrap();
    let evicted = drained.evict(change(12), &id(1)).unwrap();
    evicted.validate().unwrap();
    let left: Vec<Partition> = evicted.owned_by(&id(0)).map(|(partition, _)| partition).collect();
    assert_eq!(left.len(), COUNT / 4);
    for partition in left {
        let to = &evicted.plan[&partition];
        assert!(*to == id(2) || *to == id(3), "{to}");
    }
}

#[test]
fn a_move_from_a_draining_shard_to_a_lost_one_is_planned_to_another() {
    let mut topology = moving();
    topology.shards.get_mut(&id(0)).unwrap().state = ShardState::Draining;
    let evicted = topology.evict(change(12), &id(1)).unwrap();
    let back = evicted.aborted(change(13), &[partition(0)]).unwrap();
    assert_eq!(first(&back), PartitionState::Stable(id(0)));
    let to = &back.plan[&partition(0)];
    assert!(*to == id(2) || *to == id(3), "{to}");
}

#[test]
fn the_last_shard_in_use_is_not_evicted() {
    let only = settled(1).evict(change(11), &id(0)).map(drop);
    assert_eq!(only, Err(TransitionError::NobodyLeft));
    let lost = settled(2).evict(change(11), &id(0)).unwrap();
    let twice = lost.evict(change(12), &id(0)).map(drop);
    assert_eq!(twice, Err(TransitionError::NotUsable(id(0))));
    let unknown = settled(2).evict(change(11), &id(9)).map(drop);
    assert_eq!(unknown, Err(TransitionError::UnknownShard(id(9))));
}

#[test]
fn cleaning_of_an_evicted_shard_is_nobodys_any_more() {
    let mut topology = settled(4);
    topology.cleaning.insert((id(1), partition(0)), Generation(10));
    topology.cleaning.insert((id(2), partition(0)), Generation(10));
    let evicted = topology.evict(change(11), &id(1)).unwrap();
    assert_eq!(cleaning(&evicted), vec![(id(2), 10)]);
}

#[test]
fn an_evicted_shard_comes_back_through_admission() {
    let evicted = settled(4).evict(change(11), &id(0)).unwrap();
    let run = Incarnation::new("back");
    let back = evicted
        .admit(change(12), &id(0), run.clone(), Generation(12))
        .unwrap();
    back.validate().unwrap();
    let entry = &back.shards[&id(0)];
    assert_eq!(
        (entry.state, &entry.incarnation),
        (ShardState::Active, &Some(run))
    );
    assert_eq!(back.shares()[&id(0)], 0);
    assert_eq!(back.partitions, evicted.partitions);
}

#[test]
fn a_leaving_shard_that_is_lost_is_forgotten_at_once() {
    let leaving = settled(4)
        .apply(change(11), &ShardRequest::Remove(id(0)))
        .unwrap();
    let evicted = leaving.evict(change(12), &id(0)).unwrap();
    evicted.validate().unwrap();
    assert!(!evicted.shards.contains_key(&id(0)));
}

#[test]
fn only_an_empty_leaving_shard_is_forgotten() {
    let in_use = Err(TransitionError::InUse(id(0)));
    assert_eq!(settled(2).forget(change(11), &id(0)).map(drop), in_use);
    let mut topology = settled(2);
    for state in &mut topology.partitions {
        *state = PartitionState::Stable(id(1));
    }
    assert_eq!(
        topology.forget(change(11), &id(0)).map(drop),
        in_use,
        "it is active"
    );
    topology.shards.get_mut(&id(0)).unwrap().state = ShardState::Draining;
    assert_eq!(topology.forget(change(11), &id(0)).map(drop), in_use, "it stays");
    topology.shards.get_mut(&id(0)).unwrap().state = ShardState::Leaving;
    topology.cleaning.insert((id(0), partition(0)), Generation(10));
    let forgotten = topology.forget(change(11), &id(0)).unwrap();
    forgotten.validate().unwrap();
    assert!(!forgotten.shards.contains_key(&id(0)) && forgotten.cleaning.is_empty());
}
