//! Requests about the shard list, from any gateway: decided by that gateway's compare-and-set, carried out by the
//! coordinator, which finds them in the topology.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::ShardSource;
use super::check::{self, Unfit};
use crate::store::{StoreError, TopologyStore};
use crate::topology::{
    Change, Generation, PlanSummary, RequestError, ShardEntry, ShardId, ShardRequest, Topology, WantedShard,
};

/// How often a request is decided anew because somebody else has changed the topology meanwhile.
const ATTEMPTS: usize = 16;

/// How long an estimate waits for what a shard holds.
const USAGE: Duration = Duration::from_secs(2);

/// Why a request was not carried out, or could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The present topology does not allow it.
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// The server cannot be the shard that was asked for.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// There is no topology yet.
    #[error("there is no topology yet; wait until the first shards are admitted")]
    NoTopology,
    /// The store did not answer; it may have been done.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others changed the topology each time.
    #[error("the topology is being changed by others; try again")]
    Contended,
    /// The topology is not the one any more that the plan was made on.
    #[error(
        "the shards have changed since this plan was made: nothing was done; look at the plan as it is now"
    )]
    Outdated,
}

impl SubmitError {
    /// Whether the same request will be refused again as long as nothing else changes.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unfit(_) | Self::Outdated)
    }
}

/// What a request comes to, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Of the document that was written; for a plan alone, of the one that it was made on.
    pub generation: Generation,
    /// What moves.
    pub summary: PlanSummary,
    /// About how many bytes a partition of each shard that gives some away holds; a shard that did not say is not here.
    pub sizes: BTreeMap<ShardId, u64>,
}

impl Planned {
    /// About how many bytes `partitions` of `from` hold; `None`: it did not say.
    #[must_use]
    pub fn bytes_of(&self, from: &ShardId, partitions: usize) -> Option<u64> {
        Some(self.sizes.get(from)?.saturating_mul(partitions as u64))
    }
}

/// Takes requests about the shard list.
#[derive(Clone)]
pub struct ShardRequests {
    store: Arc<dyn TopologyStore>,
    shards: Arc<dyn ShardSource>,
}

impl ShardRequests {
    /// Requests to the topology in `store`; servers are looked at through `shards`.
    #[must_use]
    pub fn new(store: Arc<dyn TopologyStore>, shards: Arc<dyn ShardSource>) -> Self {
        Self { store, shards }
    }

    /// What `request` would do; without one, what is left of the present plan.
    ///
    /// # Errors
    ///
    /// As [`Self::submit`].
    pub async fn plan(&self, request: Option<&ShardRequest>) -> Result<Planned, SubmitError> {
        let topology = self.read().await?;
        let next = match request {
            None => topology.clone(),
            Some(request) => self.decide(&topology, request).await?,
        };
        Ok(self.planned(&topology, &next, topology.generation).await)
    }

    /// Changes the shard list and plans what follows from it. A list that was proposed before is given up.
    ///
    /// # Errors
    ///
    /// If the topology does not allow it, the server cannot be used, or the store does not answer.
    pub async fn submit(&self, request: &ShardRequest) -> Result<Planned, SubmitError> {
        for _ in 0..ATTEMPTS {
            let topology = self.read().await?;
            if let Some(planned) = self.attempt(&topology, request).await? {
                return Ok(planned);
            }
        }
        Err(SubmitError::Contended)
    }

    /// The same for whoever has seen a plan made on `generation`: what is carried out is that plan or none.
    ///
    /// # Errors
    ///
    /// As [`Self::submit`]; [`SubmitError::Outdated`] if the topology is another one by now.
    pub async fn submit_planned(
        &self,
        request: &ShardRequest,
        generation: Generation,
    ) -> Result<Planned, SubmitError> {
        let topology = self.read().await?;
        if topology.generation != generation {
            return Err(SubmitError::Outdated);
        }
        let planned = self.attempt(&topology, request).await?;
        planned.ok_or(SubmitError::Outdated)
    }

    /// Notes the whole shard list that is wanted from now on; the coordinator brings it about when nothing else is
    /// under way. False: it was noted already.
    ///
    /// # Errors
    ///
    /// If the list cannot be, or the store does not answer.
    pub async fn propose_list(&self, wanted: &BTreeMap<ShardId, WantedShard>) -> Result<bool, SubmitError> {
        for _ in 0..ATTEMPTS {
            let topology = self.read().await?;
            if topology.wanted.as_ref() == Some(wanted) {
                return Ok(false);
            }
            let next = topology.propose(next_change(&topology), wanted.clone())?;
            if self.store.compare_and_set(Some(&topology), &next).await? {
                return Ok(true);
            }
        }
        Err(SubmitError::Contended)
    }

    async fn read(&self) -> Result<Topology, SubmitError> {
        self.store.read().await?.ok_or(SubmitError::NoTopology)
    }

    /// Changes `topology` as requested; `None`: it is not the stored one any more.
    async fn attempt(
        &self,
        topology: &Topology,
        request: &ShardRequest,
    ) -> Result<Option<Planned>, SubmitError> {
        let mut next = self.decide(topology, request).await?;
        next.wanted = None;
        if !self.store.compare_and_set(Some(topology), &next).await? {
            return Ok(None);
        }
        Ok(Some(self.planned(topology, &next, next.generation).await))
    }

    async fn decide(&self, topology: &Topology, request: &ShardRequest) -> Result<Topology, SubmitError> {
        // What the document refuses anyway bothers no server.
        let next = topology.apply(next_change(topology), request)?;
        check::check(&*self.shards, topology, request).await?;
        Ok(next)
    }

    async fn planned(&self, before: &Topology, next: &Topology, generation: Generation) -> Planned {
        let summary = before.summary(next);
        Planned {
            generation,
            sizes: self.sizes(before, &summary).await,
            summary,
        }
    }

    /// How large a partition of each shard is that gives some away: all of one shard are taken to be equally large.
    async fn sizes(&self, topology: &Topology, summary: &PlanSummary) -> BTreeMap<ShardId, u64> {
        let sources: BTreeSet<&ShardId> = summary.moves.keys().map(|(from, _)| from).collect();
        let sizes = sources.into_iter().map(async |id| {
            let held = self.held(id, topology.shards.get(id)?).await?;
            let owned = *summary.before.get(id)? as u64;
            Some((id.clone(), held / owned.max(1)))
        });
        join_all(sizes).await.into_iter().flatten().collect()
    }

    /// How many bytes a shard holds, if it says so in time.
    async fn held(&self, id: &ShardId, entry: &ShardEntry) -> Option<u64> {
        let shard = self.shards.shard(id, &entry.url).ok()?;
        let usage = shard.usage(entry.incarnation.as_ref()?);
        Some(timeout(USAGE, usage).await.ok()?.ok()?.bytes)
    }
}

fn next_change(topology: &Topology) -> Change {
    Change {
        generation: topology.generation.next(),
        id: rand::random(),
    }
}

#[cfg(test)]
mod tests;
