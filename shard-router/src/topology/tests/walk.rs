//! Whatever is decided in whatever order, documents stay in order.

use std::collections::BTreeSet;

use super::kit::*;
use super::*;

/// What anybody may try next.
#[derive(Clone, Debug)]
enum Act {
    Ask(ShardRequest),
    Announce(usize),
    Commit(usize),
    Abort(usize),
    Resume(usize),
    Aborted(usize),
    Reclaim(usize),
    Cleaned(usize),
    Opened(usize),
    Evict(usize),
    Forget(usize),
    Admit(usize),
}

fn request() -> impl Strategy<Value = ShardRequest> {
    let some = || (0..5_usize).prop_map(id);
    prop_oneof![
        (0..5_usize).prop_map(|index| ShardRequest::Add {
            id: id(index),
            shard: WantedShard {
                url: ShardUrl::default(),
                address: String::new(),
                weight: 1,
                durable: false,
            },
        }),
        some().prop_map(ShardRequest::Drain),
        some().prop_map(ShardRequest::Remove),
        some().prop_map(ShardRequest::Readmit),
        (some(), 0..3_u32).prop_map(|(id, weight)| ShardRequest::Weight(id, weight)),
        Just(ShardRequest::Rebalance),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let shard = || 0..5_usize;
    let many = || 1..2000_usize;
    prop_oneof![
        4 => request().prop_map(Act::Ask),
        4 => many().prop_map(Act::Announce),
        2 => many().prop_map(Act::Commit),
        1 => many().prop_map(Act::Abort),
        1 => many().prop_map(Act::Resume),
        1 => many().prop_map(Act::Aborted),
        2 => many().prop_map(Act::Reclaim),
        1 => shard().prop_map(Act::Cleaned),
        2 => shard().prop_map(Act::Opened),
        1 => shard().prop_map(Act::Evict),
        1 => shard().prop_map(Act::Forget),
        4 => shard().prop_map(Act::Admit),
    ]
}

/// The first `count` partitions in a state that `fits`.
fn some(topology: &Topology, count: usize, fits: impl Fn(Partition) -> bool) -> Vec<Partition> {
    Partition::all()
        .filter(|at| topology.moved(*at).is_some() && fits(*at))
        .take(count)
        .collect()
}

fn openings(topology: &Topology, shard: &ShardId) -> Vec<(Partition, Generation)> {
    let owned = topology.owned_by(shard);
    owned
        .filter_map(|(partition, state)| match state {
            PartitionState::Opening { generation, .. } => Some((partition, *generation)),
            _ => None,
        })
        .collect()
}

/// The next document; `None`: it was refused.
fn take(now: &Topology, act: &Act) -> Option<Topology> {
    let next = change(now.generation.0 + 1);
    let moving = |count: &usize| some(now, *count, |_| true);
    let done = match act {
        Act::Ask(request) => return now.apply(next, request).ok(),
        Act::Announce(count) => {
            let batch: Vec<Partition> = now.plan.keys().take(*count).copied().collect();
            now.announce(next, &batch, MoveHistory::Keep)
        }
        Act::Commit(count) => {
            let batch = moving(count).into_iter();
            let named = batch.map(|at| (at, now.moved(at).unwrap().generation));
            now.commit(next, &named.collect::<Vec<_>>())
        }
        Act::Abort(count) => now.abort(next, &moving(count)),
        Act::Resume(count) => now.resume(next, &some(now, *count, |at| !now.target_gone(at))),
        Act::Aborted(count) => {
            let aborting = some(now, *count, |at| now.moved(at).unwrap().aborting.is_some());
            now.aborted(next, &aborting)
        }
        Act::Reclaim(count) => now.reclaim(next, &some(now, *count, |at| now.target_gone(at))),
        Act::Cleaned(shard) => {
            let listed = now.cleaning.iter().filter(|((at, _), _)| *at == id(*shard));
            let all: Vec<_> = listed.map(|((_, at), through)| (*at, *through)).collect();
            now.cleaned(next, &id(*shard), &all)
        }
        Act::Opened(shard) => now.opened(next, &id(*shard), &openings(now, &id(*shard))),
        Act::Evict(shard) => now.evict(next, &id(*shard)),
        Act::Forget(shard) => now.forget(next, &id(*shard)),
        Act::Admit(shard) => {
            let run = Incarnation::new(&format!("run at {}", next.generation));
            now.admit(next, &id(*shard), run, next.generation)
        }
    };
    done.ok()
}

/// Carries everything out that is decided, as a coordinator would when nothing fails any more.
fn settle(mut now: Topology) -> Topology {
    for round in 0.. {
        assert!(round < 40, "it does not come to rest: {:?}", now.shards);
        let fresh: Vec<usize> = (0..5)
            .filter(|index| {
                let entry = now.shards.get(&id(*index));
                entry.is_some_and(|entry| entry.incarnation.is_none() && entry.state != ShardState::Lost)
            })
            .collect();
        let acts = fresh.into_iter().map(Act::Admit);
        let acts = acts.chain((0..5).map(Act::Opened)).chain([
            Act::Aborted(COUNT),
            Act::Reclaim(COUNT),
            Act::Announce(COUNT),
            Act::Commit(COUNT),
        ]);
        for act in acts.chain((0..5).map(Act::Cleaned)) {
            now = take(&now, &act).unwrap_or(now);
        }
        let rests = |state: &PartitionState| matches!(state, PartitionState::Stable(_));
        if now.partitions.iter().all(rests) && now.plan.is_empty() && now.cleaning.is_empty() {
            return now;
        }
    }
    unreachable!("the loop returns or panics")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn documents_stay_in_order_and_come_to_rest(acts in prop::collection::vec(act(), 1..40)) {
        let mut now = settled(3);
        for act in acts {
            let Some(next) = take(&now, &act) else { continue };
            prop_assert_eq!(next.validate(), Ok(()), "after {:?}", act);
            prop_assert!(next.generation > now.generation);
            prop_assert_eq!(next.deployment, now.deployment);
            prop_assert!(next.planned >= next.left_to_move() || next.planned == 0, "{}", next.planned);
            now = next;
        }
        prop_assert_eq!(&Topology::decode(&now.encode()).unwrap(), &now);
        let rest = settle(now);
        prop_assert_eq!(rest.planned, 0);
        let owners: BTreeSet<&ShardId> = rest.partitions.iter().map(PartitionState::owner).collect();
        for owner in owners {
            prop_assert_eq!(rest.shards[owner].state, ShardState::Active, "{} is not empty", owner);
        }
    }
}
