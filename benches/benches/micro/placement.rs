//! What placement costs: a channel's partition, and proposing owners for all partitions.

use std::collections::BTreeMap;
use std::hint::black_box;

use campanile_benches::sample::CHANNEL;
use campanile_shard_router::partition::Partition;
use campanile_shard_router::ring::propose;
use campanile_shard_router::topology::ShardId;

use crate::operation::Operation;

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = vec![Operation::new("placement/partition_of_channel", || {
        || {
            black_box(Partition::of(black_box(CHANNEL)));
        }
    })];
    operations.extend([4, 16, 64].map(one_joins));
    operations
}

/// One more shard joins `count` others.
fn one_joins(count: usize) -> Operation {
    Operation::new(format!("placement/one_shard_joins/{count}"), move || {
        let nobody = vec![None; usize::from(Partition::COUNT)];
        let before = propose(&shards(count), &nobody).expect("there are shards");
        let before: Vec<_> = before.into_iter().map(Some).collect();
        let after = shards(count + 1);
        move || drop(black_box(propose(black_box(&after), black_box(&before))))
    })
}

fn shards(count: usize) -> BTreeMap<ShardId, u32> {
    (0..count)
        .map(|index| (ShardId::new(&format!("shard-{index}")), 1))
        .collect()
}
