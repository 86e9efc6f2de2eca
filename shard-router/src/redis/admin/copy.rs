//! Reading what is copied, and writing it elsewhere.
//!
//! Calls are made so that each keeps the server busy for a few milliseconds at most, also where several travel in one
//! pipeline: the server carries that out in one go.

use std::sync::Arc;

use ::redis::Value;

use super::session::Sessions;
use crate::partition::Partition;
use crate::redis::part::{self, Wanted};
use crate::redis::{reply, scripts};
use crate::shard::{CopyItem, CopyPart, CopyScope, DirtyPage, ShardError};
use crate::topology::{Generation, Incarnation, Token};

/// Names of what changed in one partition that are asked for at once.
const DIRTY_NAMES: usize = 256;
/// Partitions that are asked for such names in one pipeline.
const DIRTY_PARTITIONS: usize = 8;
/// Items that one script call is given; it says how many it got done.
const COPY_ITEMS: usize = 256;
/// What travels to the server in one pipeline of parts.
const RESTORE_BYTES: usize = 256 << 10;
/// How many parts travel in one pipeline.
const RESTORE_PARTS: usize = 128;

/// What changed in partitions, each after the number of the last change that is known.
pub(in crate::redis) async fn dirty(
    sessions: Arc<Sessions>,
    run: Incarnation,
    generation: Generation,
    since: Vec<(Partition, u64)>,
    scope: CopyScope,
) -> Result<Vec<Option<DirtyPage>>, ShardError> {
    let mut session = sessions.open(&run).await?;
    let mut pages = Vec::with_capacity(since.len());
    for chunk in since.chunks(DIRTY_PARTITIONS) {
        let calls = chunk.iter().map(|(partition, since)| {
            scripts::dirty(
                &sessions.connector.keys,
                *partition,
                generation,
                *since,
                DIRTY_NAMES,
            )
        });
        let answers = session.several(calls).await?;
        for ((partition, since), answer) in chunk.iter().zip(answers) {
            let changes = reply::changes(answer)?;
            pages.push(changes.map(|changes| page(*partition, *since, changes, scope)));
        }
    }
    session.done();
    Ok(pages)
}

fn page(partition: Partition, since: u64, changes: Vec<reply::Change>, scope: CopyScope) -> DirtyPage {
    DirtyPage {
        more: changes.len() == DIRTY_NAMES,
        through: changes.last().map_or(since, |(_, number)| *number),
        items: changes
            .into_iter()
            .filter(|(name, _)| scope.includes(name))
            .map(|(name, _)| CopyItem {
                partition,
                name,
                resume: None,
            })
            .collect(),
    }
}

/// Reads items, as many in each call as its server has time for.
pub(in crate::redis) async fn copy(
    sessions: Arc<Sessions>,
    run: Incarnation,
    generation: Generation,
    items: Vec<CopyItem>,
) -> Result<Vec<Option<CopyPart>>, ShardError> {
    let wanted = items.iter().map(Wanted::read).collect::<Result<Vec<_>, _>>()?;
    let mut session = sessions.open(&run).await?;
    let mut parts = Vec::with_capacity(items.len());
    while parts.len() < items.len() {
        let next = &wanted[parts.len()..];
        let next = &next[..next.len().min(COPY_ITEMS)];
        let answer = session
            .one(scripts::copy(&sessions.connector.keys, generation, next))
            .await?;
        let Value::Array(answers) = answer else {
            return Err(ShardError::Malformed("the answer to a copy".to_owned()));
        };
        if answers.is_empty() || answers.len() > next.len() {
            return Err(ShardError::Malformed("the number of copied items".to_owned()));
        }
        for (wanted, answer) in next.iter().zip(answers) {
            parts.push(part::copied(wanted, answer)?);
        }
    }
    session.done();
    Ok(parts)
}

/// Writes parts.
pub(in crate::redis) async fn restore(
    sessions: Arc<Sessions>,
    run: Incarnation,
    (generation, token): (Generation, Token),
    parts: Vec<CopyPart>,
) -> Result<Vec<bool>, ShardError> {
    let mut session = sessions.open(&run).await?;
    let mut done = Vec::with_capacity(parts.len());
    while done.len() < parts.len() {
        let next = first_bytes(&parts[done.len()..]);
        let calls = next
            .iter()
            .map(|part| part::restore(&sessions.connector.keys, generation, token, part))
            .collect::<Result<Vec<_>, _>>()?;
        for answer in session.several(calls).await? {
            done.push(reply::was_done(answer)?);
        }
    }
    session.done();
    Ok(done)
}

/// As many of `parts` as may travel together, one at least.
fn first_bytes(parts: &[CopyPart]) -> &[CopyPart] {
    let mut bytes = 0;
    let fits = |part: &&CopyPart| {
        bytes += part.content.len();
        bytes <= RESTORE_BYTES
    };
    let count = parts.iter().take(RESTORE_PARTS).take_while(fits).count();
    &parts[..count.max(1).min(parts.len())]
}
