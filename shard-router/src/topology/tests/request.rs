//! Requests about the shard list, and the plans that follow.

use super::kit::*;
use super::*;

fn wanted(index: usize) -> WantedShard {
    WantedShard {
        url: ShardUrl::new(&format!("redis://:s3cret@127.0.0.1:{index}")),
        address: format!("127.0.0.1:{index}"),
        weight: 1,
        durable: false,
    }
}

fn add(index: usize) -> ShardRequest {
    ShardRequest::Add {
        id: id(index),
        shard: wanted(index),
    }
}

fn asked(topology: &Topology, request: &ShardRequest) -> Topology {
    let next = topology.apply(after(topology), request).unwrap();
    next.validate().unwrap();
    next
}

fn after(topology: &Topology) -> Change {
    change(topology.generation.0 + 1)
}

fn words(topology: &Topology, request: &ShardRequest) -> String {
    topology.apply(after(topology), request).unwrap_err().to_string()
}

/// The document when all that is planned has been carried out.
fn carried_out(mut topology: Topology) -> Topology {
    for entry in topology.shards.values_mut() {
        entry.incarnation.get_or_insert(Incarnation::new("run"));
    }
    let total = topology.plan.len();
    while !topology.plan.is_empty() {
        let batch: Vec<Partition> = topology.plan.keys().take(64).copied().collect();
        assert_eq!(
            (topology.planned, topology.left_to_move()),
            (total, topology.plan.len())
        );
        topology = topology
            .announce(after(&topology), &batch, MoveHistory::Keep)
            .unwrap();
        let generation = topology.generation;
        let done: Vec<_> = batch
            .into_iter()
            .map(|partition| (partition, generation))
            .collect();
        topology = topology.commit(after(&topology), &done).unwrap();
    }
    topology.validate().unwrap();
    assert_eq!((topology.planned, topology.cleaning.len()), (0, total));
    topology
}

/// Nobody has more than 1.05 times its share.
fn assert_even(shares: &BTreeMap<ShardId, usize>, weights: &BTreeMap<ShardId, u32>) {
    let total: u32 = weights.values().sum();
    for (shard, weight) in weights {
        let most = (105 * COUNT * *weight as usize).div_ceil(100 * total as usize);
        assert!(
            shares[shard] <= most,
            "{shard} has {} of at most {most}",
            shares[shard]
        );
    }
}

fn weights(topology: &Topology) -> BTreeMap<ShardId, u32> {
    let active = topology.shards.iter();
    let active = active.filter(|(_, entry)| entry.state == ShardState::Active);
    active.map(|(id, entry)| (id.clone(), entry.weight)).collect()
}

#[test]
fn adding_one_shard_moves_little_more_than_its_share() {
    let mut topology = settled(1);
    for present in 1..=8 {
        let next = asked(&topology, &add(present));
        let summary = topology.summary(&next);
        assert!(
            summary.total() * 10 * (present + 1) <= 11 * COUNT,
            "{present}: {}",
            summary.total()
        );
        assert!(
            summary.moves.keys().all(|(_, to)| *to == id(present)),
            "only to the new one"
        );
        assert_even(&summary.after, &weights(&next));
        assert_eq!(
            (summary.minimum, next.planned),
            (summary.total(), summary.total())
        );
        topology = carried_out(next);
        topology.cleaning.clear();
        assert_eq!(topology.shares(), summary.after);
    }
}

#[test]
fn draining_the_first_of_four_moves_exactly_its_partitions() {
    let topology = settled(4);
    for (request, state) in [
        (ShardRequest::Drain(id(0)), ShardState::Draining),
        (ShardRequest::Remove(id(0)), ShardState::Leaving),
    ] {
        let next = asked(&topology, &request);
        assert_eq!(next.shards[&id(0)].state, state);
        let planned: Vec<Partition> = next.plan.keys().copied().collect();
        let owned: Vec<Partition> = topology
            .owned_by(&id(0))
            .map(|(partition, _)| partition)
            .collect();
        assert_eq!(planned, owned);
        let summary = topology.summary(&next);
        assert_eq!((summary.before[&id(0)], summary.after[&id(0)]), (COUNT / 4, 0));
        assert_even(&summary.after, &weights(&next));
        let empty = carried_out(next);
        assert_eq!(empty.shares()[&id(0)], 0);
    }
}

#[test]
fn weights_decide_the_shares() {
    let next = asked(&settled(4), &ShardRequest::Weight(id(2), 3));
    let summary = settled(4).summary(&next);
    assert_even(&summary.after, &weights(&next));
    assert!(summary.after[&id(2)] > COUNT / 3, "{summary:?}");
}

#[test]
fn what_is_left_of_a_plan_is_the_documents_summary_with_itself() {
    let next = asked(&settled(4), &ShardRequest::Drain(id(0)));
    let batch: Vec<Partition> = next.plan.keys().take(10).copied().collect();
    let mut next = next;
    next = next.announce(change(12), &batch, MoveHistory::Keep).unwrap();
    assert_eq!(next.summary(&next).total(), COUNT / 4);
    let done: Vec<_> = batch
        .iter()
        .map(|partition| (*partition, Generation(12)))
        .collect();
    next = next.commit(change(13), &done).unwrap();
    let left = next.summary(&next);
    assert_eq!((left.total(), next.planned), (COUNT / 4 - 10, COUNT / 4));
    assert_eq!(left.after[&id(0)], 0);
}

#[test]
fn several_requests_make_one_plan() {
    let topology = settled(2);
    let next = topology
        .apply_all(change(11), &[add(2), add(3), ShardRequest::Remove(id(0))])
        .unwrap();
    next.validate().unwrap();
    let summary = topology.summary(&next);
    assert_even(&summary.after, &weights(&next));
    assert_eq!(summary.after[&id(0)], 0);
    assert_eq!(summary.total(), summary.minimum);
}

#[test]
fn a_drained_shard_is_used_again() {
    let drained = carried_out(asked(&settled(4), &ShardRequest::Drain(id(0))));
    let next = asked(&drained, &ShardRequest::Readmit(id(0)));
    assert_even(&drained.summary(&next).after, &weights(&next));
    assert!(next.plan.values().all(|to| *to == id(0)) && !next.plan.is_empty());
}

#[test]
fn a_shard_that_came_back_gets_its_share_again() {
    let lost = settled(4).evict(change(11), &id(0)).unwrap();
    let refusal = words(&lost, &ShardRequest::Readmit(id(0)));
    assert!(refusal.contains("bring it back"), "{refusal}");
    let run = Incarnation::new("back");
    let back = lost.admit(change(12), &id(0), run, Generation(12)).unwrap();
    let next = asked(&back, &ShardRequest::Readmit(id(0)));
    assert!(next.plan.values().all(|to| *to == id(0)) && next.plan.len() > COUNT / 5);
}

#[test]
fn an_even_list_needs_no_moves() {
    assert!(asked(&settled(4), &ShardRequest::Rebalance).plan.is_empty());
}

#[test]
fn refusals_say_what_to_do() {
    let topology = settled(2);
    let unknown = ShardId::new("who");
    for request in [
        ShardRequest::Drain(unknown.clone()),
        ShardRequest::Remove(unknown.clone()),
        ShardRequest::Readmit(unknown.clone()),
        ShardRequest::Weight(unknown, 2),
    ] {
        let refusal = words(&topology, &request);
        assert_eq!(
            refusal,
            "there is no shard who; `campanile shards list` shows those there are"
        );
    }
    assert!(words(&topology, &add(1)).contains("choose another name"));
    assert!(words(&topology, &ShardRequest::Weight(id(0), 0)).contains("write 1 or more"));
    let nothing = WantedShard {
        weight: 0,
        ..wanted(5)
    };
    let nothing = ShardRequest::Add {
        id: id(5),
        shard: nothing,
    };
    assert!(words(&topology, &nothing).contains("write 1 or more"));
    let last = words(&settled(1), &ShardRequest::Drain(id(0)));
    assert!(last.contains("add another one first"), "{last}");
    let last = words(&settled(1), &ShardRequest::Remove(id(0)));
    assert!(last.contains("add another one first"), "{last}");
    let draining = carried_out(asked(&topology, &ShardRequest::Drain(id(0))));
    assert!(words(&draining, &ShardRequest::Drain(id(0))).contains("being emptied already"));
    let lost = settled(3).evict(change(11), &id(0)).unwrap();
    assert!(words(&lost, &ShardRequest::Drain(id(0))).contains("remove it"));
}

#[test]
fn one_change_at_a_time() {
    let under_way = asked(&settled(4), &ShardRequest::Drain(id(0)));
    let refusal = words(&under_way, &add(4));
    assert_eq!(
        refusal,
        "1024 partitions are still to be moved; wait for it, or see `campanile shards list`"
    );
    let refusal = words(&moving(), &ShardRequest::Rebalance);
    assert!(refusal.starts_with("1 partitions are"), "{refusal}");
}

#[test]
fn a_new_address_and_the_end_of_a_lost_shard_wait_for_nothing() {
    let under_way = asked(&settled(4), &ShardRequest::Drain(id(0)));
    let update = ShardRequest::Update {
        id: id(1),
        shard: wanted(77),
    };
    let next = asked(&under_way, &update);
    let entry = &next.shards[&id(1)];
    assert_eq!(
        (entry.address.as_str(), &entry.url),
        ("127.0.0.1:77", &wanted(77).url)
    );
    assert_eq!(entry.incarnation, under_way.shards[&id(1)].incarnation);
    assert_eq!((&next.plan, next.planned), (&under_way.plan, under_way.planned));
    let lost = under_way.evict(change(12), &id(1)).unwrap();
    let next = asked(&lost, &ShardRequest::Remove(id(1)));
    assert!(!next.shards.contains_key(&id(1)));
    assert_eq!(next.plan, lost.plan);
    let named = moving().evict(change(12), &id(1)).unwrap();
    let refusal = words(&named, &ShardRequest::Remove(id(1)));
    assert!(refusal.contains("in use"), "{refusal}");
}

#[test]
fn a_wanted_list_becomes_requests() {
    let topology = settled(3);
    let mut list: BTreeMap<ShardId, WantedShard> = topology
        .shards
        .iter()
        .map(|(id, entry)| {
            let shard = WantedShard {
                url: entry.url.clone(),
                address: entry.address.clone(),
                weight: entry.weight,
                durable: entry.durable,
            };
            (id.clone(), shard)
        })
        .collect();
    assert_eq!(topology.toward(&list), vec![]);
    list.remove(&id(0));
    list.get_mut(&id(1)).unwrap().weight = 2;
    list.get_mut(&id(2)).unwrap().address = "elsewhere:1".to_owned();
    list.insert(id(5), wanted(5));
    let requests = topology.toward(&list);
    let shard = list[&id(2)].clone();
    assert_eq!(
        requests,
        vec![
            ShardRequest::Weight(id(1), 2),
            ShardRequest::Update { id: id(2), shard },
            add(5),
            ShardRequest::Remove(id(0)),
        ]
    );
    let next = topology.apply_all(change(11), &requests).unwrap();
    assert_eq!(next.toward(&list), vec![]);
    // It is in the list again before it is gone.
    list.insert(id(0), wanted(0));
    let again = next.toward(&list);
    assert!(again.contains(&ShardRequest::Readmit(id(0))), "{again:?}");
}

#[test]
fn lists_leave_alone_who_drains_by_its_own_wish_or_is_lost() {
    let mut topology = settled(3);
    topology.shards.get_mut(&id(0)).unwrap().state = ShardState::Draining;
    let lost = topology.evict(change(11), &id(1)).unwrap();
    let entries = lost.shards.iter();
    let list: BTreeMap<ShardId, WantedShard> = entries
        .map(|(id, entry)| {
            let address = entry.address.clone();
            let (weight, durable, url) = (entry.weight, entry.durable, entry.url.clone());
            (
                id.clone(),
                WantedShard {
                    url,
                    address,
                    weight,
                    durable,
                },
            )
        })
        .collect();
    assert_eq!(lost.toward(&list), vec![]);
    let only = BTreeMap::from([(id(2), list[&id(2)].clone())]);
    let removals = vec![ShardRequest::Remove(id(0)), ShardRequest::Remove(id(1))];
    assert_eq!(lost.toward(&only), removals);
}

#[test]
fn a_proposed_list_is_noted_and_survives_in_the_store() {
    let list = BTreeMap::from([(id(0), wanted(0)), (id(7), wanted(7))]);
    let noted = settled(2).propose(change(11), list.clone()).unwrap();
    assert_eq!(noted.wanted.as_ref(), Some(&list));
    assert_eq!(first(&noted), PartitionState::Stable(id(0)));
    let nobody = settled(2).propose(change(11), BTreeMap::new()).map(drop);
    assert_eq!(nobody, Err(RequestError::NobodyLeft));
    let nothing = BTreeMap::from([(
        id(0),
        WantedShard {
            weight: 0,
            ..wanted(0)
        },
    )]);
    let nothing = settled(2).propose(change(11), nothing).map(drop);
    assert_eq!(nothing, Err(RequestError::NoWeight(id(0))));
}

#[test]
fn secrets_are_stored_and_not_shown() {
    let next = asked(&settled(1), &add(1));
    let stored = String::from_utf8(next.encode()).unwrap();
    assert!(stored.contains("s3cret"));
    let shown = format!("{:?} {}", next.shards, next.shards[&id(1)].url);
    assert!(
        !shown.contains("s3cret") && shown.contains("redis://127.0.0.1:1"),
        "{shown}"
    );
    for (url, shown) in [
        ("memory:", "memory:"),
        ("", ""),
        ("rediss://me:pw@h:1/2?password=x", "rediss://h:1/2"),
        ("nonsense:pw", ""),
    ] {
        assert_eq!(ShardUrl::new(url).to_string(), shown);
    }
}
