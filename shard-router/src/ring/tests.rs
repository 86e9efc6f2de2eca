//! Invariant 7, and that a proposal is a function of names, weights and present owners alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use xxhash_rust::xxh3::xxh3_64;

use super::*;

const COUNT: usize = Partition::COUNT as usize;

fn shards(weights: &[u32]) -> BTreeMap<ShardId, u32> {
    let named = weights.iter().enumerate();
    named
        .map(|(index, weight)| (ShardId::new(&format!("shard-{index}")), *weight))
        .collect()
}

fn nobody() -> Vec<Option<ShardId>> {
    vec![None; COUNT]
}

fn first(shards: &BTreeMap<ShardId, u32>) -> Vec<Option<ShardId>> {
    again(shards, &nobody())
}

fn again(shards: &BTreeMap<ShardId, u32>, present: &[Option<ShardId>]) -> Vec<Option<ShardId>> {
    propose(shards, present).unwrap().into_iter().map(Some).collect()
}

fn loads(owners: &[Option<ShardId>]) -> BTreeMap<ShardId, usize> {
    let mut loads = BTreeMap::new();
    for owner in owners.iter().flatten() {
        *loads.entry(owner.clone()).or_default() += 1;
    }
    loads
}

fn moved(before: &[Option<ShardId>], after: &[Option<ShardId>]) -> usize {
    before.iter().zip(after).filter(|(a, b)| a != b).count()
}

/// No shard above 1.05 times its weighted share, rounded up as partitions are whole.
fn assert_within_capacity(shards: &BTreeMap<ShardId, u32>, owners: &[Option<ShardId>]) {
    let total: f64 = shards.values().map(|weight| f64::from(*weight)).sum();
    let loads = loads(owners);
    for (id, weight) in shards {
        let share = f64::from(Partition::COUNT) * f64::from(*weight) / total;
        let load = f64::from(u32::try_from(loads.get(id).copied().unwrap_or(0)).unwrap());
        assert!(
            load <= (1.05 * share).ceil(),
            "{id} has {load} of a share of {share}"
        );
        assert!(
            load >= (0.95 * share).floor(),
            "{id} has {load} of a share of {share}"
        );
    }
}

fn share_of_one_more(n: usize) -> f64 {
    f64::from(Partition::COUNT) / (f64::from(u32::try_from(n).unwrap()) + 1.0)
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

#[test]
fn nobody_can_own_without_shards() {
    assert_eq!(propose(&BTreeMap::new(), &nobody()), None);
    assert_eq!(propose(&shards(&[0, 0]), &nobody()), None);
}

#[test]
fn one_shard_owns_everything() {
    let owners = first(&shards(&[3]));
    assert_eq!(loads(&owners), BTreeMap::from([(ShardId::new("shard-0"), COUNT)]));
}

#[test]
fn adding_one_to_equals_moves_its_share_and_nothing_between_others() {
    for n in [1, 2, 3, 4, 5, 8, 13, 16, 25, 40] {
        let before = first(&shards(&vec![1; n]));
        let larger = shards(&vec![1; n + 1]);
        let after = again(&larger, &before);
        assert_within_capacity(&larger, &after);
        let limit = 1.1 * share_of_one_more(n);
        assert!(
            as_float(moved(&before, &after)) <= limit,
            "{n} shards: {} moved",
            moved(&before, &after)
        );
        let newcomer = ShardId::new(&format!("shard-{n}"));
        let elsewhere = before
            .iter()
            .zip(&after)
            .filter(|(a, b)| a != b && b.as_ref() != Some(&newcomer))
            .count();
        assert_eq!(elsewhere, 0, "{n} shards");
    }
}

#[test]
fn growing_shard_by_shard_stays_within_bounds() {
    let mut owners = first(&shards(&[1]));
    for n in 1..12 {
        let larger = shards(&vec![1; n + 1]);
        let after = again(&larger, &owners);
        assert_within_capacity(&larger, &after);
        assert!(
            as_float(moved(&owners, &after)) <= 1.1 * share_of_one_more(n),
            "{n} shards"
        );
        owners = after;
    }
}

#[test]
fn draining_moves_only_what_the_drained_shard_has() {
    let all = shards(&[1; 6]);
    let before = first(&all);
    let drained = ShardId::new("shard-2");
    let mut weightless = all;
    weightless.insert(drained.clone(), 0);
    let after = again(&weightless, &before);
    for (a, b) in before.iter().zip(&after) {
        assert!(if a.as_ref() == Some(&drained) {
            b.as_ref() != Some(&drained)
        } else {
            a == b
        });
    }
}

#[test]
fn an_empty_place_is_filled_and_an_uneven_one_kept() {
    let two = shards(&[1, 1]);
    let present: Vec<Option<ShardId>> = (0..COUNT)
        .map(|index| (index < 4000).then(|| ShardId::new("shard-0")))
        .collect();
    let placed = place_missing(&two, &present).unwrap();
    assert!(placed[..4000].iter().all(|owner| owner.as_str() == "shard-0"));
    assert!(placed[4000..].iter().all(|owner| owner.as_str() == "shard-1"));
}

#[test]
fn golden_vectors_hold() {
    let golden = include_str!("../../golden/ring.txt");
    let actual = render_golden();
    assert_eq!(golden, actual, "the ring re-routes; what it says now:\n{actual}");
}

/// The complete assignment of several shard sets as a hash, and some of it in the clear.
fn render_golden() -> String {
    let sets: [(&str, Vec<(&str, u32)>); 6] = [
        (
            "embedded",
            vec![("memory-1", 1), ("memory-2", 1), ("memory-3", 1), ("memory-4", 1)],
        ),
        ("single", vec![("redis-1", 1)]),
        ("three", vec![("redis-1", 1), ("redis-2", 1), ("redis-3", 1)]),
        ("weighted", vec![("large", 300), ("small", 100), ("tiny", 7)]),
        ("sixteen", Vec::new()),
        ("three and then a fourth", Vec::new()),
    ];
    let mut text = String::new();
    for (title, members) in sets {
        let owners = match title {
            "sixteen" => first(&shards(&[1; 16])),
            "three and then a fourth" => again(&shards(&[1; 4]), &first(&shards(&[1; 3]))),
            _ => first(
                &members
                    .iter()
                    .map(|(name, weight)| (ShardId::new(name), *weight))
                    .collect(),
            ),
        };
        let names: Vec<&str> = owners.iter().flatten().map(ShardId::as_str).collect();
        writeln!(text, "{title}: {:016x}", xxh3_64(names.join("\n").as_bytes())).unwrap();
        for partition in [0, 1, 2, 1000, 2047, 4095] {
            writeln!(text, "  {partition} {}", names[partition]).unwrap();
        }
    }
    text
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1_u32..=10, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_follow_weights(weights in weights()) {
        let shards = shards(&weights);
        assert_within_capacity(&shards, &first(&shards));
    }

    #[test]
    fn adding_any_shard_moves_little_more_than_its_share(weights in weights(), added in 1_u32..=10) {
        let before = first(&shards(&weights));
        let mut more = weights;
        more.push(added);
        let larger = shards(&more);
        let after = again(&larger, &before);
        assert_within_capacity(&larger, &after);
        let share = f64::from(Partition::COUNT) * f64::from(added) / f64::from(more.iter().sum::<u32>());
        prop_assert!(as_float(moved(&before, &after)) <= (1.1 * share).ceil());
    }

    #[test]
    fn removing_shards_moves_only_what_they_had(
        weights in prop::collection::vec(1_u32..=10, 2..12),
        gone in any::<Index>(),
    ) {
        let all = shards(&weights);
        let before = first(&all);
        let gone = ShardId::new(&format!("shard-{}", gone.index(all.len())));
        let mut rest = all;
        rest.remove(&gone);
        let after = again(&rest, &before);
        assert_within_capacity(&rest, &after);
        for (a, b) in before.iter().zip(&after) {
            prop_assert!(a == b || a.as_ref() == Some(&gone));
        }
    }

    #[test]
    fn a_proposal_within_bounds_is_proposed_again(weights in weights()) {
        let shards = shards(&weights);
        let owners = first(&shards);
        prop_assert_eq!(again(&shards, &owners), owners);
    }

    #[test]
    fn neither_the_order_nor_the_scale_of_weights_matters(
        order in subsequence((0..9_usize).collect::<Vec<_>>(), 9).prop_shuffle(),
        weights in prop::collection::vec(1_u32..=10, 9),
        scale in 1_u32..1000,
    ) {
        let plain = shards(&weights);
        let shuffled: BTreeMap<ShardId, u32> = order
            .into_iter()
            .map(|index| (ShardId::new(&format!("shard-{index}")), weights[index] * scale))
            .collect();
        prop_assert_eq!(first(&shuffled), first(&plain));
    }
}
