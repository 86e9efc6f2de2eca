//! What placement costs: a channel's partition, and proposing owners for all partitions.

use std::collections::BTreeMap;
use std::hint::black_box;

use campanile_shard_router::partition::Partition;
use campanile_shard_router::ring::propose;
use campanile_shard_router::topology::ShardId;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn shards(count: usize) -> BTreeMap<ShardId, u32> {
    (0..count)
        .map(|index| (ShardId::new(&format!("shard-{index}")), 1))
        .collect()
}

fn partition_of_channel(c: &mut Criterion) {
    c.bench_function("partition_of_channel", |b| {
        b.iter(|| Partition::of(black_box("chat:room-7bd0e6cf-2f4c")));
    });
}

fn propose_owners(c: &mut Criterion) {
    let mut group = c.benchmark_group("propose_owners");
    let nobody = vec![None; usize::from(Partition::COUNT)];
    for count in [4, 16, 64] {
        let before = propose(&shards(count), &nobody).expect("there are shards");
        let before: Vec<_> = before.into_iter().map(Some).collect();
        group.bench_with_input(BenchmarkId::new("one_joins", count), &before, |b, before| {
            b.iter(|| propose(black_box(&shards(count + 1)), before));
        });
    }
    group.finish();
}

criterion_group!(benches, partition_of_channel, propose_owners);
criterion_main!(benches);
