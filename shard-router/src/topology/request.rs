//! What people, configuration files and shards themselves ask of the shard list, and the plan that follows.
//!
//! A request changes the list and, in the same document, plans the moves that bring every partition to where the new
//! list wants it. The coordinator carries the plan out.

use std::collections::BTreeMap;

use super::{
    Change, PartitionState, ShardEntry, ShardId, ShardState, Topology, TransitionError, WantedShard,
};
use crate::partition::Partition;
use crate::ring;

/// A change of the shard list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardRequest {
    /// One more shard.
    Add {
        /// Its name.
        id: ShardId,
        /// What it is.
        shard: WantedShard,
    },
    /// Empty it, and keep it in the list.
    Drain(ShardId),
    /// Empty it, then forget it. A lost one is forgotten at once.
    Remove(ShardId),
    /// Give it another share.
    Weight(ShardId, u32),
    /// Use it (again): one that was to be emptied, or one that has come back.
    Readmit(ShardId),
    /// The same server is reached or described otherwise.
    Update {
        /// Its name.
        id: ShardId,
        /// How it is described from now on.
        shard: WantedShard,
    },
    /// Bring every partition to where the list wants it.
    Rebalance,
}

/// Why a request is refused, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no such shard.
    #[error("there is no shard {0}; `campanile shards list` shows those there are")]
    UnknownShard(ShardId),
    /// The name is taken.
    #[error("there is a shard {0} already; choose another name")]
    Exists(ShardId),
    /// A weight of nothing.
    #[error("weight 0 would give shard {0} nothing; write 1 or more, or drain it")]
    NoWeight(ShardId),
    /// Nobody could own the partitions.
    #[error("no shard would be left to hold the partitions; add another one first")]
    NobodyLeft,
    /// One change at a time.
    #[error("{0} partitions are still to be moved; wait for it, or see `campanile shards list`")]
    UnderWay(usize),
    /// It cannot be reached, so nothing can be moved away from it, or to it.
    #[error("shard {0} is lost; remove it, or bring it back and it is used again by itself")]
    Lost(ShardId),
    /// It is so already.
    #[error("shard {0} is being emptied already; see `campanile shards list`")]
    Already(ShardId),
    /// The document does not allow it.
    #[error(transparent)]
    Transition(#[from] TransitionError),
}

/// What a plan moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanSummary {
    /// How many partitions move from where to where.
    pub moves: BTreeMap<(ShardId, ShardId), usize>,
    /// How many partitions each shard has before.
    pub before: BTreeMap<ShardId, usize>,
    /// How many it has after.
    pub after: BTreeMap<ShardId, usize>,
    /// The fewest moves by which one could get from `before` to `after`.
    pub minimum: usize,
}

impl PlanSummary {
    /// How many partitions move.
    #[must_use]
    pub fn total(&self) -> usize {
        self.moves.values().sum()
    }
}

impl Topology {
    /// The document after `request`: the list changed, and the moves planned that follow from it.
    ///
    /// # Errors
    ///
    /// Why not, in words that say what to do.
    pub fn apply(&self, change: Change, request: &ShardRequest) -> Result<Self, RequestError> {
        self.apply_all(change, std::slice::from_ref(request))
    }

    /// The same for several requests, of which one plan follows: no partition moves twice.
    ///
    /// # Errors
    ///
    /// The first request's that is refused.
    pub fn apply_all(&self, change: Change, requests: &[ShardRequest]) -> Result<Self, RequestError> {
        let mut next = self.next(change)?;
        let plans = requests.iter().any(|request| next.needs_plan(request));
        let left = self.left_to_move();
        if plans && left > 0 {
            return Err(RequestError::UnderWay(left));
        }
        for request in requests {
            next.change_list(request)?;
        }
        if plans {
            next.plan_moves()?;
        }
        Ok(next)
    }

    /// How many partitions are planned to move or moving.
    #[must_use]
    pub fn left_to_move(&self) -> usize {
        self.plan.len() + self.moving()
    }

    /// How many partitions are moving, those on their way back included.
    #[must_use]
    pub fn moving(&self) -> usize {
        let is_moving = |state: &&PartitionState| matches!(state, PartitionState::Moving { .. });
        self.partitions.iter().filter(is_moving).count()
    }

    /// What is to be moved when `next` is carried out, compared with how it is in this document. With itself: what is
    /// left of the present plan.
    #[must_use]
    pub fn summary(&self, next: &Self) -> PlanSummary {
        let mut moves: BTreeMap<(ShardId, ShardId), usize> = BTreeMap::new();
        for (partition, state) in next.states() {
            let to = next.plan.get(&partition).unwrap_or(state.destination());
            let from = self.partition(partition).owner();
            if from != to {
                *moves.entry((from.clone(), to.clone())).or_default() += 1;
            }
        }
        let mut before = self.shares();
        for id in next.shards.keys() {
            before.entry(id.clone()).or_default();
        }
        let mut after = before.clone();
        for ((from, to), count) in &moves {
            *after.entry(from.clone()).or_default() -= count;
            *after.entry(to.clone()).or_default() += count;
        }
        let gains = after.iter().map(|(id, count)| count.saturating_sub(before[id]));
        PlanSummary {
            minimum: gains.sum(),
            moves,
            before,
            after,
        }
    }

    /// What has to be asked for so that the list becomes `wanted`. A shard that is drained by its own wish, or lost, is
    /// left alone while it is wanted.
    #[must_use]
    pub fn toward(&self, wanted: &BTreeMap<ShardId, WantedShard>) -> Vec<ShardRequest> {
        let listed = self.shards.iter();
        let unwanted =
            listed.filter(|(id, entry)| !wanted.contains_key(*id) && entry.state != ShardState::Leaving);
        let removals = unwanted.map(|(id, _)| ShardRequest::Remove(id.clone()));
        let changes = wanted.iter().flat_map(|(id, shard)| self.toward_one(id, shard));
        changes.chain(removals).collect()
    }

    fn toward_one(&self, id: &ShardId, shard: &WantedShard) -> Vec<ShardRequest> {
        let id = id.clone();
        let Some(entry) = self.shards.get(&id) else {
            let shard = shard.clone();
            return vec![ShardRequest::Add { id, shard }];
        };
        let mut requests = Vec::new();
        if (&entry.url, &entry.address, entry.durable) != (&shard.url, &shard.address, shard.durable) {
            let (id, shard) = (id.clone(), shard.clone());
            requests.push(ShardRequest::Update { id, shard });
        }
        if entry.weight != shard.weight {
            requests.push(ShardRequest::Weight(id.clone(), shard.weight));
        }
        if entry.state == ShardState::Leaving {
            requests.push(ShardRequest::Readmit(id));
        }
        requests
    }

    /// Notes the shard list that is wanted from now on.
    ///
    /// # Errors
    ///
    /// If no shards could hold the partitions.
    pub fn propose(
        &self,
        change: Change,
        wanted: BTreeMap<ShardId, WantedShard>,
    ) -> Result<Self, RequestError> {
        if let Some((id, _)) = wanted.iter().find(|(_, shard)| shard.weight == 0) {
            return Err(RequestError::NoWeight(id.clone()));
        }
        if wanted.is_empty() {
            return Err(RequestError::NobodyLeft);
        }
        Ok(Self {
            wanted: Some(wanted),
            ..self.next(change)?
        })
    }

    /// Whether partitions may have to move because of `request`.
    fn needs_plan(&self, request: &ShardRequest) -> bool {
        match request {
            ShardRequest::Update { .. } => false,
            ShardRequest::Remove(id) => self
                .shards
                .get(id)
                .is_none_or(|entry| entry.state != ShardState::Lost),
            _ => true,
        }
    }

    fn change_list(&mut self, request: &ShardRequest) -> Result<(), RequestError> {
        match request {
            ShardRequest::Add { id, shard } => self.add(id, shard),
            ShardRequest::Remove(id) => self.remove(id),
            ShardRequest::Drain(id) => self.listed(id).and_then(|entry| match entry.state {
                ShardState::Active | ShardState::Leaving => {
                    entry.state = ShardState::Draining;
                    Ok(())
                }
                ShardState::Draining => Err(RequestError::Already(id.clone())),
                ShardState::Lost => Err(RequestError::Lost(id.clone())),
            }),
            ShardRequest::Readmit(id) => self.listed(id).and_then(|entry| match entry.state {
                ShardState::Lost => Err(RequestError::Lost(id.clone())),
                ShardState::Active | ShardState::Draining | ShardState::Leaving => {
                    entry.state = ShardState::Active;
                    Ok(())
                }
            }),
            ShardRequest::Weight(id, 0) => Err(RequestError::NoWeight(id.clone())),
            ShardRequest::Weight(id, weight) => self.listed(id).map(|entry| entry.weight = *weight),
            ShardRequest::Update { id, shard } => self.listed(id).map(|entry| {
                entry.url.clone_from(&shard.url);
                entry.address.clone_from(&shard.address);
                entry.durable = shard.durable;
            }),
            ShardRequest::Rebalance => Ok(()),
        }
    }

    fn listed(&mut self, id: &ShardId) -> Result<&mut ShardEntry, RequestError> {
        let unknown = || RequestError::UnknownShard(id.clone());
        self.shards.get_mut(id).ok_or_else(unknown)
    }

    fn add(&mut self, id: &ShardId, shard: &WantedShard) -> Result<(), RequestError> {
        if self.shards.contains_key(id) {
            return Err(RequestError::Exists(id.clone()));
        }
        if shard.weight == 0 {
            return Err(RequestError::NoWeight(id.clone()));
        }
        self.shards.insert(id.clone(), shard.entry());
        Ok(())
    }

    fn remove(&mut self, id: &ShardId) -> Result<(), RequestError> {
        let entry = self.listed(id)?;
        match entry.state {
            ShardState::Active | ShardState::Draining => entry.state = ShardState::Leaving,
            ShardState::Leaving => return Err(RequestError::Already(id.clone())),
            ShardState::Lost => self.unlist(id)?,
        }
        Ok(())
    }

    /// Plans every move that the list makes necessary, as few as possible.
    fn plan_moves(&mut self) -> Result<(), RequestError> {
        let active = self.shards.iter().filter(|(id, _)| self.is_active(id));
        let weights = active.map(|(id, entry)| (id.clone(), entry.weight)).collect();
        let present: Vec<Option<ShardId>> = self
            .partitions
            .iter()
            .map(|state| Some(state.destination().clone()))
            .collect();
        let proposed = ring::propose(&weights, &present).ok_or(RequestError::NobodyLeft)?;
        let moves = Partition::all().zip(proposed).zip(&present);
        self.plan = moves
            .filter(|((_, to), from)| from.as_ref() != Some(to))
            .map(|((partition, to), _)| (partition, to))
            .collect();
        self.planned = self.plan.len();
        Ok(())
    }
}
