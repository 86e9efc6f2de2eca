//! The document as it is stored: JSON, in which partitions name their shards by index.
//!
//! JSON, because an operator in trouble reads it with what is at hand; indexes, because a name 4096 times over would be
//! most of it. A stable partition is its shard's index alone, so a quiet deployment's document has about ten kilobytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    DeploymentId, Generation, Invalid, MoveHistory, OpeningContent, PartitionState, ShardEntry, ShardId,
    Topology, WantedShard,
};
use crate::partition::Partition;

/// The version of the format. A reader refuses every other one: what it does not understand it must not write back.
const FORMAT: u32 = 1;

/// Why a stored document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Written in another format, by another release.
    #[error("its format is {0}, this release understands {FORMAT}")]
    Format(u32),
    /// Not in the form of a document.
    #[error("it is not in the form of a topology")]
    Malformed(#[from] serde_json::Error),
    /// A partition names a shard index that is not there.
    #[error("it has no shard with index {0}")]
    NoSuchShard(usize),
    /// A partition's number is too large.
    #[error("it has no partition {0}")]
    NoSuchPartition(u16),
    /// The same shard twice.
    #[error("it lists shard {0} twice")]
    DuplicateShard(ShardId),
    /// It says what cannot be.
    #[error("it contradicts itself")]
    Invalid(#[from] Invalid),
}

/// What a reader of any release can read.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    generation: Generation,
    change_id: u64,
    #[serde(default)]
    deployment: DeploymentId,
    shards: Vec<StoredShard>,
    partitions: Vec<StoredPartition>,
    /// Partition and shard index of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plan: Vec<(u16, usize)>,
    #[serde(default, skip_serializing_if = "is_zero")]
    planned: usize,
    /// Shard index, partition and generation of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cleaning: Vec<(usize, u16, Generation)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<BTreeMap<ShardId, WantedShard>>,
}

#[derive(Serialize, Deserialize)]
struct StoredShard {
    id: ShardId,
    #[serde(flatten)]
    entry: ShardEntry,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredPartition {
    Stable(usize),
    Opening {
        opening: usize,
        generation: Generation,
        content: OpeningContent,
    },
    Moving {
        from: usize,
        to: usize,
        generation: Generation,
        aborting: Option<Generation>,
        #[serde(default, skip_serializing_if = "MoveHistory::is_keep")]
        history: MoveHistory,
    },
}

impl Topology {
    /// The stored form.
    ///
    /// # Panics
    ///
    /// If a partition names a shard that is not listed; [`Topology::validate`] rules it out.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let indexes: BTreeMap<&ShardId, usize> =
            self.shards.keys().enumerate().map(|(i, id)| (id, i)).collect();
        let document = Document {
            format: FORMAT,
            generation: self.generation,
            change_id: self.change_id,
            deployment: self.deployment,
            shards: self.shards.iter().map(StoredShard::new).collect(),
            partitions: self
                .partitions
                .iter()
                .map(|state| StoredPartition::new(state, &indexes))
                .collect(),
            plan: self
                .plan
                .iter()
                .map(|(partition, shard)| (number(*partition), indexes[shard]))
                .collect(),
            planned: self.planned,
            cleaning: self
                .cleaning
                .iter()
                .map(|((shard, partition), through)| (indexes[shard], number(*partition), *through))
                .collect(),
            wanted: self.wanted.clone(),
        };
        serde_json::to_vec(&document).expect("a document has string keys and finite numbers only")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// If it is of another format, malformed, or contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let header: Header = serde_json::from_slice(bytes)?;
        if header.format != FORMAT {
            return Err(DocumentError::Format(header.format));
        }
        let document: Document = serde_json::from_slice(bytes)?;
        let names: Vec<ShardId> = document.shards.iter().map(|shard| shard.id.clone()).collect();
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            return Err(DocumentError::DuplicateShard(twice.clone()));
        }
        let topology = document.resolve(&names)?;
        topology.validate()?;
        Ok(topology)
    }
}

impl Document {
    fn resolve(self, names: &[ShardId]) -> Result<Topology, DocumentError> {
        let plan = self.plan.into_iter();
        let cleaning = self.cleaning.into_iter();
        let partitions = self.partitions.into_iter();
        Ok(Topology {
            generation: self.generation,
            change_id: self.change_id,
            deployment: self.deployment,
            partitions: partitions
                .map(|stored| stored.resolve(names))
                .collect::<Result<_, _>>()?,
            plan: plan
                .map(|(partition, shard)| Ok((numbered(partition)?, name(names, shard)?)))
                .collect::<Result<_, DocumentError>>()?,
            planned: self.planned,
            cleaning: cleaning
                .map(|(shard, partition, through)| Ok(((name(names, shard)?, numbered(partition)?), through)))
                .collect::<Result<_, DocumentError>>()?,
            wanted: self.wanted,
            shards: self
                .shards
                .into_iter()
                .map(|shard| (shard.id, shard.entry))
                .collect(),
        })
    }
}

impl StoredShard {
    fn new((id, entry): (&ShardId, &ShardEntry)) -> Self {
        Self {
            id: id.clone(),
            entry: entry.clone(),
        }
    }
}

/// The shard with that index.
fn name(names: &[ShardId], index: usize) -> Result<ShardId, DocumentError> {
    names.get(index).cloned().ok_or(DocumentError::NoSuchShard(index))
}

fn number(partition: Partition) -> u16 {
    u16::try_from(partition.index()).expect("there are fewer partitions than a u16 counts")
}

fn numbered(number: u16) -> Result<Partition, DocumentError> {
    Partition::from_index(number).ok_or(DocumentError::NoSuchPartition(number))
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl StoredPartition {
    fn new(state: &PartitionState, indexes: &BTreeMap<&ShardId, usize>) -> Self {
        match state {
            PartitionState::Stable(shard) => Self::Stable(indexes[shard]),
            PartitionState::Opening {
                shard,
                generation,
                content,
            } => Self::Opening {
                opening: indexes[shard],
                generation: *generation,
                content: *content,
            },
            PartitionState::Moving {
                from,
                to,
                generation,
                aborting,
                history,
            } => Self::Moving {
                from: indexes[from],
                to: indexes[to],
                generation: *generation,
                aborting: *aborting,
                history: *history,
            },
        }
    }

    fn resolve(self, names: &[ShardId]) -> Result<PartitionState, DocumentError> {
        let name = |index: usize| name(names, index);
        Ok(match self {
            Self::Stable(shard) => PartitionState::Stable(name(shard)?),
            Self::Opening {
                opening,
                generation,
                content,
            } => PartitionState::Opening {
                shard: name(opening)?,
                generation,
                content,
            },
            Self::Moving {
                from,
                to,
                generation,
                aborting,
                history,
            } => PartitionState::Moving {
                from: name(from)?,
                to: name(to)?,
                generation,
                aborting,
                history,
            },
        })
    }
}
