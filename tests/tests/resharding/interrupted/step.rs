//! Meeting a move at one of its steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use campanile_common::ChannelName;
use campanile_shard_router::partition::Partition;
use campanile_shard_router::topology::{Generation, PartitionState, Topology};
use campanile_tests::redis::RedisServer;

use crate::world::World;

/// The owner records of the partitions in `ARGV`, as `GENERATION STATE`.
const RECORDS: &str = "
    local records = {}
    for index, partition in ipairs(ARGV) do
        local record = redis.call('HMGET', 'campanile:{' .. partition .. '}:owner', 'g', 's')
        records[index] = (record[1] or '') .. ' ' .. (record[2] or '')
    end
    return records";

/// How far a move has come, by what has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// In the topology alone.
    Announced,
    /// The source notes its changes while its keys are copied.
    Copying,
    /// Nobody accepts publications.
    Sealed,
    /// The target does, and the topology does not say so yet.
    Opened,
}

/// How things stand while the coordinator is stopped.
pub(super) struct Standing {
    pub(super) topology: Topology,
    /// The partitions that are moving.
    steps: BTreeMap<Partition, Step>,
}

impl Standing {
    /// The moving partitions that have come as far as `step`, and the shards that they leave.
    pub(super) fn at(&self, step: Step) -> Vec<(Partition, &str)> {
        let there = self.steps.iter().filter(|(_, at)| **at == step);
        there
            .map(|(partition, _)| (*partition, self.topology.partition(*partition).owner().as_str()))
            .collect()
    }

    /// Those of `channels` of which `is` holds, given the state and, if it moves, the step of their partitions.
    pub(super) fn channels(
        &self,
        channels: &[String],
        is: impl Fn(&PartitionState, Option<Step>) -> bool,
    ) -> BTreeSet<String> {
        let chosen = |channel: &&String| {
            let name = ChannelName::parse(channel, 255).expect("a channel's name");
            let partition = Partition::of(&name);
            is(
                self.topology.partition(partition),
                self.steps.get(&partition).copied(),
            )
        };
        channels.iter().filter(chosen).cloned().collect()
    }
}

/// How long the coordinator runs between two looks: a fraction of what one batch of moves takes, so that each batch is
/// looked at several times, and its shortest step in one batch or another.
const GLIMPSE: Duration = Duration::from_millis(2);

/// Stops the first gateway, which coordinates, again and again until a move is met at `step`. `servers` are the shards
/// `redis-1`, `redis-2`, and so on.
///
/// # Errors
/// When nothing is left to move before that.
pub(super) async fn stop_at(world: &World, servers: &[&RedisServer], step: Step) -> Result<Standing> {
    let coordinator = world.cluster.gateways[0].process();
    loop {
        coordinator.pause();
        let standing = settled_look(world, servers).await?;
        if !standing.at(step).is_empty() {
            return Ok(standing);
        }
        let is_over = standing.steps.is_empty() && standing.topology.plan.is_empty();
        ensure!(
            !is_over,
            "everything was moved, and no move was met at the step {step:?}"
        );
        coordinator.resume();
        tokio::time::sleep(GLIMPSE).await;
    }
}

/// What stands once the last requests of the stopped coordinator have been served: two looks that are the same.
async fn settled_look(world: &World, servers: &[&RedisServer]) -> Result<Standing> {
    let mut last = look(world, servers).await?;
    loop {
        let next = look(world, servers).await?;
        if next.topology.generation == last.topology.generation && next.steps == last.steps {
            return Ok(next);
        }
        last = next;
    }
}

async fn look(world: &World, servers: &[&RedisServer]) -> Result<Standing> {
    let topology = world.topology().await?;
    let moving: Vec<Partition> = topology
        .states()
        .filter(|(_, state)| matches!(state, PartitionState::Moving { .. }))
        .map(|(partition, _)| partition)
        .collect();
    let mut records = BTreeMap::new();
    for (index, server) in servers.iter().enumerate() {
        records.insert(format!("redis-{}", index + 1), read(server, &moving).await?);
    }
    let mut steps = BTreeMap::new();
    for (index, partition) in moving.into_iter().enumerate() {
        let PartitionState::Moving {
            from, to, generation, ..
        } = topology.partition(partition)
        else {
            continue;
        };
        let (source, target) = (&records[from.as_str()][index], &records[to.as_str()][index]);
        steps.insert(partition, step_of(source, target, *generation));
    }
    Ok(Standing { topology, steps })
}

async fn read(server: &RedisServer, partitions: &[Partition]) -> Result<Vec<String>> {
    let names: Vec<String> = partitions.iter().map(Partition::to_string).collect();
    let mut command = vec!["EVAL", RECORDS, "0"];
    command.extend(names.iter().map(String::as_str));
    server.command(&command).await
}

fn step_of(source: &str, target: &str, generation: Generation) -> Step {
    let is = |record: &str, state: &str| record == format!("{generation} {state}");
    if is(target, "open") {
        Step::Opened
    } else if is(source, "sealed") {
        Step::Sealed
    } else if is(source, "migrating") {
        Step::Copying
    } else {
        Step::Announced
    }
}
