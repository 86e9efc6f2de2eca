//! What is done about the shard list when nothing moves: wishes are carried out, and shards that have left forgotten.

use std::collections::BTreeMap;

use tracing::{debug, info, warn};

use super::check;
use super::ledger::{CommitError, Page};
use super::term::Term;
use super::work;
use crate::store::StoreError;
use crate::topology::{
    Change, RequestError, ShardEntry, ShardId, ShardRequest, ShardState, Topology, TransitionError,
    WantedShard,
};

/// What came of a wish.
enum Did {
    /// The topology was changed.
    Changed,
    /// There was nothing to do, or it has to wait.
    Nothing,
    /// It cannot be, in words.
    Refused(String),
}

/// Does the first thing that is to be done. True: the topology was changed.
pub(super) async fn tidy(term: &Term, page: &Page, topology: &Topology) -> Result<bool, CommitError> {
    if let Some(shard) = to_forget(topology)
        && everybody_follows(term, topology).await?
    {
        return forget(term, page, shard).await;
    }
    drained(term, topology).await?;
    let mut trouble = None;
    for request in own_wishes(term, topology) {
        match apply(term, page, topology, vec![request]).await? {
            Did::Changed => return Ok(true),
            Did::Nothing => {}
            Did::Refused(words) => trouble = Some(words),
        }
    }
    if let Some(wanted) = &topology.wanted {
        match toward(term, page, topology, wanted).await? {
            Did::Changed => return Ok(true),
            Did::Nothing => {}
            Did::Refused(words) => trouble = Some(words),
        }
    }
    say(term, trouble);
    Ok(false)
}

/// A shard that was to leave and has nothing left.
fn to_forget(topology: &Topology) -> Option<&ShardId> {
    let mut leaving = topology
        .shards
        .iter()
        .filter(|(_, entry)| entry.state == ShardState::Leaving);
    leaving.find(|(id, _)| is_empty(topology, id)).map(|(id, _)| id)
}

/// Whether nothing of the deployment is on `shard`, nor on its way there.
fn is_empty(topology: &Topology, shard: &ShardId) -> bool {
    let rests = |(_, state): (_, &crate::topology::PartitionState)| {
        state.owner() == shard || state.destination() == shard
    };
    !topology.states().any(rests)
        && !topology.plan.values().any(|to| to == shard)
        && !topology.cleaning.keys().any(|(at, _)| at == shard)
}

/// Whether every live gateway has acknowledged this document: then none waits for anything of a shard that has nothing
/// by it.
async fn everybody_follows(term: &Term, topology: &Topology) -> Result<bool, StoreError> {
    let gateways = term.store.gateways().await?;
    Ok(gateways
        .iter()
        .all(|(_, report)| report.applied >= topology.generation))
}

async fn forget(term: &Term, page: &Page, shard: &ShardId) -> Result<bool, CommitError> {
    let commit = term.ledger.commit(page, page.least, |topology, change| {
        topology.forget(change, shard)
    });
    let generation = commit.await?.generation;
    info!(%shard, %generation, "a shard has left");
    Ok(true)
}

/// What follows from the topology itself and from what was seen of the shards.
fn own_wishes(term: &Term, topology: &Topology) -> Vec<ShardRequest> {
    let wish = |(id, entry): (&ShardId, &ShardEntry)| match entry.state {
        ShardState::Active if term.sights.of(id).drain_asked => Some(ShardRequest::Drain(id.clone())),
        // Two that have come back: one that had asked to be drained before it stopped, and one that was lost.
        ShardState::Draining if term.sights.of(id).returned => Some(ShardRequest::Readmit(id.clone())),
        ShardState::Active if entry.incarnation.is_some() && is_empty(topology, id) => {
            Some(ShardRequest::Readmit(id.clone()))
        }
        _ => None,
    };
    topology.shards.iter().filter_map(wish).collect()
}

/// Tells drained shards whose own wish it was that they are.
async fn drained(term: &Term, topology: &Topology) -> Result<(), StoreError> {
    for (id, entry) in &topology.shards {
        let asked = entry.state == ShardState::Draining && term.sights.of(id).drain_asked;
        if !asked {
            term.sights.tell(id, false);
        }
        let due = asked && term.sights.is_untold(id) && is_empty(topology, id);
        if !due || !everybody_follows(term, topology).await? {
            continue;
        }
        let (Ok(way), Some(run)) = (term.shards.shard(id, &entry.url), &entry.incarnation) else {
            continue;
        };
        match work::in_time(way.note_drained(run, true)).await {
            Ok(()) => {
                term.sights.tell(id, true);
                info!(shard = %id, "a shard is drained, as it had asked");
            }
            Err(error) => debug!(shard = %id, %error, "a shard was not told that it is drained"),
        }
    }
    Ok(())
}

/// Brings the list nearer to the wanted one.
async fn toward(
    term: &Term,
    page: &Page,
    topology: &Topology,
    wanted: &BTreeMap<ShardId, WantedShard>,
) -> Result<Did, CommitError> {
    let requests = topology.toward(wanted);
    for request in &requests {
        if let Err(unfit) = check::check(&*term.shards, topology, request).await {
            return Ok(Did::Refused(unfit.to_string()));
        }
    }
    match requests.is_empty() {
        true => Ok(Did::Nothing),
        false => apply(term, page, topology, requests).await,
    }
}

/// Applies requests in one change, if it changes anything.
async fn apply(
    term: &Term,
    page: &Page,
    topology: &Topology,
    requests: Vec<ShardRequest>,
) -> Result<Did, CommitError> {
    let rehearsal = Change {
        generation: page.least,
        id: 0,
    };
    match topology.apply_all(rehearsal, &requests) {
        // What moves nothing and alters nothing is not worth a generation.
        Ok(next) if next.plan == topology.plan && next.shards == topology.shards => return Ok(Did::Nothing),
        Ok(_) => {}
        Err(RequestError::UnderWay(_)) => return Ok(Did::Nothing),
        Err(refused) => return Ok(Did::Refused(refused.to_string())),
    }
    let commit = term.ledger.commit(page, page.least, |topology, change| {
        topology
            .apply_all(change, &requests)
            .map_err(|error| match error {
                RequestError::Transition(error) => error,
                // Something else was decided since the rehearsal: it is looked at again.
                _ => TransitionError::Placement,
            })
    });
    let written = commit.await?;
    let (generation, planned) = (written.generation, written.planned);
    info!(%generation, planned, ?requests, "the shard list has changed");
    Ok(Did::Changed)
}

/// Puts on the board what keeps the wanted list from being carried out; logs what is new.
fn say(term: &Term, trouble: Option<String>) {
    term.board.send_if_modified(|status| {
        let news = status.wish != trouble;
        if news && let Some(reason) = &trouble {
            warn!(reason, "the wanted shard list cannot be carried out");
        }
        status.wish = trouble;
        news
    });
}
