//! Documents to begin with.

use super::*;

/// `shards` shards that hold everything, all admitted and all partitions stable, at generation 10; planned as ordered.
pub(super) fn settled(shards: usize) -> Topology {
    let mut topology = bootstrapped(shards, OpeningContent::Keep);
    topology.generation = Generation(10);
    for index in 0..shards {
        topology.shards.insert(id(index), trusted(index));
    }
    for (index, state) in topology.partitions.iter_mut().enumerate() {
        *state = PartitionState::Stable(id(index % shards));
    }
    topology
}

/// A shard that was admitted at 9.
pub(super) fn trusted(index: usize) -> ShardEntry {
    ShardEntry {
        incarnation: Some(Incarnation::new(&format!("run-{index}"))),
        admitted: Generation(9),
        ..entry(index)
    }
}

pub(super) fn partition(index: u16) -> Partition {
    Partition::from_index(index).unwrap()
}

/// Four shards, and partition 0 planned to move from the first to the second.
pub(super) fn planned() -> Topology {
    let mut topology = settled(4);
    topology.plan.insert(partition(0), id(1));
    topology.planned = 1;
    topology.validate().unwrap();
    topology
}

/// The same, announced at 11.
pub(super) fn moving() -> Topology {
    let announced = planned().announce(change(11), &[partition(0)], MoveHistory::Keep);
    announced.unwrap()
}

pub(super) fn moving_state(aborting: Option<u64>) -> PartitionState {
    PartitionState::Moving {
        from: id(0),
        to: id(1),
        generation: Generation(11),
        aborting: aborting.map(Generation),
        history: MoveHistory::Keep,
    }
}

pub(super) fn opening(shard: usize, generation: u64, content: OpeningContent) -> PartitionState {
    PartitionState::Opening {
        shard: id(shard),
        generation: Generation(generation),
        content,
    }
}

/// The state of partition 0; the document must be in order.
pub(super) fn first(topology: &Topology) -> PartitionState {
    topology.validate().unwrap();
    assert_eq!(
        Topology::decode(&topology.encode()).unwrap(),
        *topology,
        "it survives its stored form"
    );
    topology.partition(partition(0)).clone()
}

/// What is to be cleaned of partition 0, and through which generation.
pub(super) fn cleaning(topology: &Topology) -> Vec<(ShardId, u64)> {
    let listed = topology.cleaning.iter();
    let listed = listed.filter(|((_, at), _)| *at == partition(0));
    listed
        .map(|((shard, _), through)| (shard.clone(), through.0))
        .collect()
}
