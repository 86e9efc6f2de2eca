//! Walking over a server's keys: to list what partitions hold, and to delete it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::redis::Cmd;
use bytes::Bytes;

use super::session::{Session, Sessions};
use crate::partition::Partition;
use crate::redis::{reply, scripts};
use crate::shard::{CopyItem, CopyScope, ScanCursor, ShardError};
use crate::topology::{Generation, Incarnation, Token};

/// Keys that one step of a walk looks at.
const SCAN_COUNT: usize = 1000;
/// Steps that one call makes at most.
const SCAN_STEPS: usize = 16;
/// A call that has met this many items ends.
const SCAN_ITEMS: usize = 500;
/// Keys deleted by one script call.
const DELETE_KEYS: usize = 500;
/// Between two steps that delete where nobody waits for it.
const PAUSE: Duration = Duration::from_millis(2);

/// Where a walk begins, and what it says at its end.
const ZERO: &[u8] = b"0";

/// Some of what `partitions` hold, and where to go on.
pub(in crate::redis) async fn scan(
    sessions: Arc<Sessions>,
    run: Incarnation,
    partitions: Arc<BTreeSet<Partition>>,
    scope: CopyScope,
    cursor: ScanCursor,
) -> Result<(Vec<CopyItem>, Option<ScanCursor>), ShardError> {
    let mut session = sessions.open(&run).await?;
    let mut cursor = if cursor == ScanCursor::START {
        Bytes::from_static(ZERO)
    } else {
        cursor.0
    };
    let keys = &sessions.connector.keys;
    let mut items = Vec::new();
    for _ in 0..SCAN_STEPS {
        let met;
        (cursor, met) = step(&mut session, &keys.pattern(), &cursor).await?;
        let found = met.iter().filter_map(|key| keys.data(key));
        items.extend(
            found
                .filter(|(partition, name)| partitions.contains(partition) && scope.includes(name.as_bytes()))
                .map(|(partition, name)| CopyItem {
                    partition,
                    name: Bytes::copy_from_slice(name.as_bytes()),
                    resume: None,
                }),
        );
        if cursor == ZERO || items.len() >= SCAN_ITEMS {
            break;
        }
    }
    session.done();
    let next = (cursor != ZERO).then_some(ScanCursor(cursor));
    Ok((items, next))
}

/// Deletes what `partitions` hold in one walk; each call deletes only while the partition is being filled by this very
/// coordinator.
pub(in crate::redis) async fn wipe(
    sessions: Arc<Sessions>,
    run: Incarnation,
    partitions: BTreeSet<Partition>,
    (generation, token): (Generation, Token),
) -> Result<(), ShardError> {
    let delete = |partition, doomed: &[String]| {
        let keys = &sessions.connector.keys;
        let target = scripts::Target {
            keys,
            partition,
            generation,
            token,
        };
        partitions.contains(&partition).then(|| target.wipe(doomed))
    };
    delete_all(&sessions, &run, Duration::ZERO, delete).await
}

/// Deletes what each of `partitions` holds in one walk, then the notes of what changed there; each call deletes only
/// while the partition is sealed at a generation not later than the given one.
pub(in crate::redis) async fn clean(
    sessions: Arc<Sessions>,
    run: Incarnation,
    partitions: BTreeMap<Partition, Generation>,
) -> Result<(), ShardError> {
    let keys = &sessions.connector.keys;
    let delete = |partition, doomed: &[String]| {
        let through = partitions.get(&partition)?;
        Some(scripts::clean(keys, partition, doomed, *through))
    };
    delete_all(&sessions, &run, PAUSE, delete).await?;
    let mut session = sessions.open(&run).await?;
    let notes = partitions
        .keys()
        .filter_map(|partition| delete(*partition, &[keys.dirty(*partition)]));
    for answer in session.several(notes).await? {
        reply::done(answer)?;
    }
    session.done();
    Ok(())
}

async fn delete_all(
    sessions: &Arc<Sessions>,
    run: &Incarnation,
    pause: Duration,
    delete: impl Fn(Partition, &[String]) -> Option<Cmd>,
) -> Result<(), ShardError> {
    let keys = &sessions.connector.keys;
    let mut session = sessions.open(run).await?;
    let mut cursor = Bytes::from_static(ZERO);
    loop {
        let met;
        (cursor, met) = step(&mut session, &keys.pattern(), &cursor).await?;
        let mut found: BTreeMap<Partition, Vec<String>> = BTreeMap::new();
        for key in met {
            if let Some((partition, _)) = keys.data(&key) {
                found.entry(partition).or_default().push(key);
            }
        }
        let calls = found.iter().flat_map(|(partition, keys)| {
            let chunks = keys.chunks(DELETE_KEYS);
            chunks.filter_map(|doomed| delete(*partition, doomed))
        });
        let calls: Vec<_> = calls.collect();
        let deletes = !calls.is_empty();
        for answer in session.several(calls).await? {
            reply::done(answer)?;
        }
        if cursor == ZERO {
            session.done();
            return Ok(());
        }
        if deletes && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// One step of a walk: where to go on, and the keys that it met.
async fn step(
    session: &mut Session,
    pattern: &str,
    cursor: &[u8],
) -> Result<(Bytes, Vec<String>), ShardError> {
    let mut command = ::redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern);
    command.arg("COUNT").arg(SCAN_COUNT);
    let answer = session.one(command).await?;
    let malformed = |_| ShardError::Malformed("the answer to SCAN".to_owned());
    let (cursor, keys): (Vec<u8>, Vec<Vec<u8>>) = ::redis::from_redis_value(answer).map_err(malformed)?;
    // A key that is not text is not one of ours.
    let keys = keys.into_iter().filter_map(|key| String::from_utf8(key).ok());
    Ok((cursor.into(), keys.collect()))
}
