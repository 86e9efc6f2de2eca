//! Deletes what partitions have left behind, shard by shard, in passes over many partitions at once.
//!
//! A pass costs a walk over all keys of a shard, so it waits until enough is listed or nothing moves any more. It runs
//! beside moves: what it may delete is decided by each partition's owner record, which it has closed first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::ledger::{CommitError, Content, Page};
use super::term::Term;
use super::work::{Site, WorkError};
use crate::fence::{FenceCommand, FenceReply};
use crate::partition::Partition;
use crate::topology::{Generation, ShardId, Topology};

/// So many partitions are worth a pass while others still move.
const WORTH_A_PASS: usize = 256;

/// How soon what could not be cleaned is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What is to be cleaned on one shard.
type Leftovers = Vec<(Partition, Generation)>;

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    NoWay(String),
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Cleans for one term, until aborted.
pub(super) async fn run(term: Arc<Term>) {
    let mut pages = term.ledger.pages();
    loop {
        let page = pages.borrow_and_update().clone();
        let mut waits = false;
        if let Content::Topology(topology) = &page.content {
            for (shard, leftovers) in due(topology) {
                if !term.sights.of(&shard).trusted {
                    continue;
                }
                if let Err(trouble) = pass(&term, &page, topology, &shard, leftovers).await {
                    debug!(%shard, %trouble, "a shard could not be cleaned");
                    waits = true;
                }
            }
        }
        wait(&mut pages, waits).await;
    }
}

async fn wait(pages: &mut watch::Receiver<Page>, waits: bool) {
    if waits {
        return sleep(RETRY).await;
    }
    tokio::select! {
        // A shard may have come back.
        () = sleep(RETRY) => {}
        // The sender lives as long as the term, and with it this task.
        _ = pages.changed() => {}
    }
}

/// What is worth a pass now.
fn due(topology: &Topology) -> BTreeMap<ShardId, Leftovers> {
    let mut due: BTreeMap<ShardId, Leftovers> = BTreeMap::new();
    for ((shard, partition), through) in &topology.cleaning {
        let leftovers = due.entry(shard.clone()).or_default();
        leftovers.push((*partition, *through));
    }
    let busy = topology.left_to_move() > 0;
    due.retain(|_, leftovers| !busy || leftovers.len() >= WORTH_A_PASS);
    due
}

/// Closes, deletes, and notes that it is done.
async fn pass(
    term: &Term,
    page: &Page,
    topology: &Topology,
    shard: &ShardId,
    leftovers: Leftovers,
) -> Result<(), Trouble> {
    let Some(entry) = topology.shards.get(shard) else {
        return Ok(());
    };
    let Some(run) = &entry.incarnation else {
        return Ok(());
    };
    let way = term.shards.shard(shard, &entry.url).map_err(Trouble::NoWay)?;
    let site = Site {
        shard: &*way,
        run,
        token: term.token,
    };
    let commands = leftovers
        .iter()
        .map(|(partition, through)| (*partition, FenceCommand::Close { through: *through }));
    let replies = site.fence(commands.collect()).await?;
    let (mut closed, mut done) = (Leftovers::new(), Leftovers::new());
    for (leftover, (_, reply)) in leftovers.into_iter().zip(replies) {
        match reply {
            FenceReply::Done => closed.push(leftover),
            // It has come back since, and the import has wiped what was left.
            FenceReply::Refused(Some(record)) if record.generation > leftover.1 => done.push(leftover),
            FenceReply::Refused(record) => {
                warn!(%shard, partition = %leftover.0, ?record, "what a partition left behind is in use");
            }
        }
    }
    site.clean(closed.clone()).await?;
    let cleaned = closed.len();
    done.extend(closed);
    if done.is_empty() {
        return Ok(());
    }
    let commit = term.ledger.commit(page, page.least, |topology, change| {
        topology.cleaned(change, shard, &done)
    });
    match commit.await {
        Ok(_) => info!(%shard, partitions = cleaned, "deleted what partitions had left behind"),
        // Whoever has changed the topology finds it still listed; doing it again does no harm.
        Err(CommitError::Lost) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
