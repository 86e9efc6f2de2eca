//! What is checked of a server before it becomes a shard of the deployment.

use super::ShardSource;
use super::work::{self, WorkError};
use crate::shard::Probe;
use crate::topology::{DeploymentId, ShardId, ShardRequest, ShardState, ShardUrl, Topology};

/// Why a server cannot be the shard that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no way to it from here.
    #[error("there is no way to shard {0}: {1}")]
    NoWay(ShardId, String),
    /// It does not answer, or is nobody's shard (a replica).
    #[error("shard {0} cannot be used: {1}; it must be reachable and a primary")]
    Unreachable(ShardId, String),
    /// Another name stands for the same server.
    #[error("shard {0} is the same server as shard {1}; each shard needs a server of its own")]
    SameServer(ShardId, ShardId),
    /// It was admitted to another deployment.
    #[error(
        "shard {0} belongs to deployment {1}; take it out of there and empty it, or give this deployment another prefix"
    )]
    Foreign(ShardId, DeploymentId),
    /// The name would stand for another server than before.
    #[error("at the new address of shard {0} another server answers; add that one under a name of its own")]
    AnotherServer(ShardId),
}

/// Checks the server that `request` brings into the deployment, if it brings one.
///
/// # Errors
///
/// Why the server cannot be the shard that was asked for.
pub(super) async fn check(
    shards: &dyn ShardSource,
    topology: &Topology,
    request: &ShardRequest,
) -> Result<(), Unfit> {
    let (id, url) = match request {
        ShardRequest::Add { id, shard } => (id, &shard.url),
        ShardRequest::Update { id, shard } => {
            let moved = |entry: &crate::topology::ShardEntry| entry.url != shard.url;
            if !topology.shards.get(id).is_some_and(moved) {
                return Ok(());
            }
            (id, &shard.url)
        }
        _ => return Ok(()),
    };
    let probe = look(shards, id, url).await?;
    judge(topology, id, &probe)
}

/// Which run answers at `url`.
async fn look(shards: &dyn ShardSource, id: &ShardId, url: &ShardUrl) -> Result<Probe, Unfit> {
    let shard = shards.open_apart(id, url);
    let shard = shard.map_err(|reason| Unfit::NoWay(id.clone(), reason))?;
    let unreachable = |error: WorkError| Unfit::Unreachable(id.clone(), error.to_string());
    let probe = work::probe(&*shard).await.map_err(unreachable);
    shard.close();
    probe
}

/// Whether the server that answered `probe` may be shard `id` of `topology`.
pub(super) fn judge(topology: &Topology, id: &ShardId, probe: &Probe) -> Result<(), Unfit> {
    is_no_others(topology, id, probe)?;
    let known = topology.shards.get(id).map(|entry| &entry.incarnation);
    if known.is_some_and(|run| run.as_ref().is_some_and(|run| *run != probe.incarnation)) {
        return Err(Unfit::AnotherServer(id.clone()));
    }
    is_ours(topology, id, probe)
}

/// Whether the server that answered `probe`, in whichever run, may be admitted as shard `id`, which `topology` lists. A
/// name may have come to lead to another server; what that holds must be neither closed nor deleted.
pub(super) fn may_return(topology: &Topology, id: &ShardId, probe: &Probe) -> Result<(), Unfit> {
    is_no_others(topology, id, probe)?;
    // Of one that was lost everything is deleted first. Others are believed: the store may have lost the deployment's
    // name with all that it held.
    match topology.shards.get(id) {
        Some(entry) if entry.state == ShardState::Lost => is_ours(topology, id, probe),
        _ => Ok(()),
    }
}

fn is_no_others(topology: &Topology, id: &ShardId, probe: &Probe) -> Result<(), Unfit> {
    let mut others = topology.shards.iter().filter(|(other, _)| *other != id);
    match others.find(|(_, entry)| entry.incarnation.as_ref() == Some(&probe.incarnation)) {
        Some((other, _)) => Err(Unfit::SameServer(id.clone(), other.clone())),
        None => Ok(()),
    }
}

fn is_ours(topology: &Topology, id: &ShardId, probe: &Probe) -> Result<(), Unfit> {
    match probe.deployment {
        Some(foreign) if foreign != topology.deployment => Err(Unfit::Foreign(id.clone(), foreign)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
