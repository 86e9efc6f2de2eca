//! What only coordinators do, each over a connection of its own: a probe, fence acts, owner records, wiping.
//!
//! Long work goes in chunks that keep the server busy for a few milliseconds at most, with other clients' commands
//! in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::redis::{Cmd, Value};
use tokio::time::Instant;

use super::connection::{Connection, Connector, pipeline};
use super::identity;
use super::reply;
use super::scripts;
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::shard::{Probe, ShardError};
use crate::topology::{DeploymentId, Generation, Incarnation, Token};

/// Commands in one pipeline.
const CHUNK: usize = 256;
/// Keys that one step of a scan looks at.
const SCAN_COUNT: usize = 1000;
/// Keys deleted by one script call.
const WIPE_KEYS: usize = 500;

/// Asks who the server is and what it was admitted at.
pub(super) async fn probe(connector: Arc<Connector>) -> Result<Probe, ShardError> {
    let deadline = connector.deadline();
    let mut connection = connector
        .connect(deadline, |_| ())
        .await
        .map_err(ShardError::Unavailable)?;
    let mut get = ::redis::cmd("MGET");
    let keys = &connector.keys;
    get.arg(keys.admitted()).arg(keys.deployment()).arg(keys.drain());
    let answer = one(&mut connection, get, deadline).await?;
    if let Value::ServerError(error) = &answer {
        return Err(reply::server_error(error));
    }
    let malformed = |_| ShardError::Malformed("the notes of the last admission".to_owned());
    let (admitted, deployment, drain): (Option<String>, Option<String>, Option<Vec<u8>>) =
        ::redis::from_redis_value(answer).map_err(malformed)?;
    Ok(Probe {
        promoted: identity::was_promoted(&connection.run),
        incarnation: connection.run,
        admitted: admitted.and_then(|digits| digits.parse().ok()).map(Generation),
        deployment: deployment.as_deref().and_then(DeploymentId::parse),
        drain_asked: drain.is_some(),
    })
}

pub(super) async fn fence(
    connector: Arc<Connector>,
    run: Incarnation,
    commands: Vec<(Partition, FenceCommand)>,
) -> Result<Vec<FenceReply>, ShardError> {
    let deadline = connector.deadline();
    let mut connection = with_scripts(&connector, &run, deadline).await?;
    let mut replies = Vec::with_capacity(commands.len());
    for chunk in commands.chunks(CHUNK) {
        let calls = chunk
            .iter()
            .map(|(partition, command)| scripts::fence(&connector.keys, *partition, command));
        for answer in several(&mut connection, calls, deadline).await? {
            replies.push(reply::fence(answer)?);
        }
    }
    Ok(replies)
}

pub(super) async fn owners(
    connector: Arc<Connector>,
    run: Incarnation,
) -> Result<Vec<(Partition, OwnerRecord)>, ShardError> {
    let deadline = connector.deadline();
    let mut connection = connector.connect_to(&run, deadline).await?;
    let mut owners = Vec::new();
    let partitions: Vec<_> = Partition::all().collect();
    for chunk in partitions.chunks(CHUNK) {
        let calls = chunk
            .iter()
            .map(|partition| scripts::owner(&connector.keys, *partition));
        let answers = several(&mut connection, calls, deadline).await?;
        for (partition, answer) in chunk.iter().zip(answers) {
            owners.extend(reply::owner_record(answer)?.map(|record| (*partition, record)));
        }
    }
    Ok(owners)
}

/// Deletes all keys of `partitions` in one pass over the server's keys; each call deletes only while the partition is
/// being filled by this very coordinator.
pub(super) async fn wipe(
    connector: Arc<Connector>,
    run: Incarnation,
    partitions: BTreeSet<Partition>,
    (generation, token): (Generation, Token),
) -> Result<(), ShardError> {
    let mut connection = with_scripts(&connector, &run, connector.deadline()).await?;
    let mut cursor = "0".to_owned();
    loop {
        let found;
        (cursor, found) = scan(&connector, &mut connection, &cursor).await?;
        let mut doomed: BTreeMap<Partition, Vec<String>> = BTreeMap::new();
        for key in found {
            let partition = connector.keys.partition_of_data(&key);
            if let Some(partition) = partition.filter(|partition| partitions.contains(partition)) {
                doomed.entry(partition).or_default().push(key);
            }
        }
        let calls = doomed.into_iter().flat_map(|(partition, keys)| {
            let owner = connector.keys.owner(partition);
            let chunks: Vec<_> = keys.chunks(WIPE_KEYS).map(<[String]>::to_vec).collect();
            chunks
                .into_iter()
                .map(move |keys| scripts::wipe(owner.clone(), keys, generation, token))
        });
        for answer in several(&mut connection, calls, connector.deadline()).await? {
            reply::done(answer)?;
        }
        if cursor == "0" {
            return Ok(());
        }
    }
}

pub(super) async fn note_admitted(
    connector: Arc<Connector>,
    run: Incarnation,
    (generation, deployment): (Generation, DeploymentId),
) -> Result<(), ShardError> {
    let deadline = connector.deadline();
    let mut connection = connector.connect_to(&run, deadline).await?;
    let mut set = ::redis::cmd("MSET");
    set.arg(connector.keys.admitted()).arg(generation.0);
    set.arg(connector.keys.deployment()).arg(deployment.to_string());
    match one(&mut connection, set, deadline).await? {
        Value::Okay => Ok(()),
        Value::ServerError(error) => Err(reply::server_error(&error)),
        _ => Err(ShardError::Malformed("the answer to MSET".to_owned())),
    }
}

async fn with_scripts(
    connector: &Connector,
    run: &Incarnation,
    deadline: Instant,
) -> Result<Connection, ShardError> {
    let mut connection = connector.connect_to(run, deadline).await?;
    let loaded = connection.run_all(scripts::load_for_admin(), deadline).await;
    loaded.map_err(ShardError::Unavailable)?;
    Ok(connection)
}

/// One step of a scan: the next cursor, and keys.
async fn scan(
    connector: &Connector,
    connection: &mut Connection,
    cursor: &str,
) -> Result<(String, Vec<String>), ShardError> {
    let mut command = ::redis::cmd("SCAN");
    command
        .arg(cursor)
        .arg("MATCH")
        .arg(connector.keys.pattern())
        .arg("COUNT")
        .arg(SCAN_COUNT);
    let answer = one(connection, command, connector.deadline()).await?;
    if let Value::ServerError(error) = &answer {
        return Err(reply::server_error(error));
    }
    let malformed = |_| ShardError::Malformed("the answer to SCAN".to_owned());
    let (cursor, keys): (String, Vec<Vec<u8>>) = ::redis::from_redis_value(answer).map_err(malformed)?;
    // A key that is not text is not one of ours.
    Ok((
        cursor,
        keys.into_iter()
            .filter_map(|key| String::from_utf8(key).ok())
            .collect(),
    ))
}

async fn one(connection: &mut Connection, command: Cmd, deadline: Instant) -> Result<Value, ShardError> {
    let mut answers = several(connection, [command], deadline).await?;
    Ok(answers.pop().unwrap_or(Value::Nil))
}

async fn several(
    connection: &mut Connection,
    commands: impl IntoIterator<Item = Cmd>,
    deadline: Instant,
) -> Result<Vec<Value>, ShardError> {
    let pipeline = pipeline(commands);
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    connection
        .send(&pipeline, deadline)
        .await
        .map_err(|broken| broken.unanswered())
}
