//! What is told of the shards: the results of the API's `shards/…` methods. Fields are added, never renamed: scripts
//! read them.

use serde::{Deserialize, Serialize};

/// Of `shards/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardList {
    /// The version of the topology.
    pub generation: u64,
    /// Who may change the list: `file`, `api` or `dns`.
    pub managed_by: String,
    /// The shards, by name.
    pub shards: Vec<ShardRow>,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardRow {
    /// Its name.
    pub name: String,
    /// Where it is, without credentials.
    pub address: String,
    /// `active`, `draining`, `leaving` or `lost`.
    pub state: String,
    /// Its share relative to the others'.
    pub weight: u32,
    /// Whether it is declared to keep everything that it acknowledged.
    pub durable: bool,
    /// How many partitions it owns.
    pub partitions: usize,
    /// The same as a part of all, 0 to 1.
    pub share: f64,
    /// The run of its server that is trusted; none until it was first reached.
    pub incarnation: Option<String>,
    /// Whether the gateway that was asked can use it.
    pub reachable: bool,
    /// What is wrong with it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Of `shards/plan`, and of the methods that change the list: what is to move.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanReport {
    /// The version of the topology that the plan is of; of a change: the one that holds it.
    pub generation: u64,
    /// What moves, by source and target.
    pub moves: Vec<MoveGroup>,
    /// How many partitions move in all.
    pub partitions: usize,
    /// The same as a part of all, 0 to 1.
    pub share: f64,
    /// About how many bytes these hold; none where a source could not be asked.
    pub bytes: Option<u64>,
    /// How many partitions would have to move at the least.
    pub minimum: usize,
    /// How many partitions each shard has, and will have.
    pub shards: Vec<Load>,
}

/// What moves from one shard to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveGroup {
    /// The source.
    pub from: String,
    /// The target.
    pub to: String,
    /// How many partitions.
    pub partitions: usize,
    /// The same as a part of all, 0 to 1.
    pub share: f64,
    /// About how many bytes; none where the source could not be asked.
    pub bytes: Option<u64>,
}

/// A shard's partitions before and after a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// The shard.
    pub name: String,
    /// How many it has now.
    pub before: usize,
    /// How many it will have.
    pub after: usize,
    /// The same as a part of all, 0 to 1.
    pub share: f64,
}

/// Of `shards/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The shards.
    #[serde(flatten)]
    pub list: ShardList,
    /// The gateway that carries moves out; none where it cannot be asked.
    pub leader: Option<String>,
    /// What is planned and moving; none when all is done.
    pub moves: Option<Moves>,
    /// Which shard owns which partition, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionMap>,
}

/// How far a plan has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moves {
    /// Partitions that the plan had when it was made.
    pub planned: usize,
    /// Those that have arrived.
    pub done: usize,
    /// Those whose move has not begun.
    pub left: usize,
    /// Those that are on their way.
    pub moving: usize,
    /// What has not arrived, by source and target.
    pub groups: Vec<MoveGroup>,
    /// Bytes copied so far. This and what follows is known by the leader alone.
    pub bytes: Option<u64>,
    /// Seconds since the plan was begun.
    pub seconds: Option<f64>,
    /// Partitions a second, on average.
    pub rate: Option<f64>,
    /// Bytes a second, on average.
    pub byte_rate: Option<f64>,
    /// Seconds until all is done, at this rate.
    pub remaining: Option<f64>,
    /// What is being done.
    pub stage: Option<String>,
    /// What keeps it from going on, in words.
    pub trouble: Option<String>,
}

/// Which shard owns which partition. Shards are named by their place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartitionMap {
    /// Runs of partitions in their order: the owner, and how many.
    pub owners: Vec<(usize, usize)>,
    /// Partitions that are on their way, and where to.
    pub moving: Vec<(u16, usize)>,
}
