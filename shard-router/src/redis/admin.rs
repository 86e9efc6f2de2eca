//! What only coordinators do: a probe, fence acts, owner records, notes, walks over all keys, copies.
//!
//! Long work goes in chunks that keep the server busy for a few milliseconds at most, with other clients' commands
//! in between.

mod copy;
mod session;
mod sweep;

use std::sync::Arc;

use ::redis::Value;

pub(super) use self::copy::{copy, dirty, restore};
pub(super) use self::session::Sessions;
pub(super) use self::sweep::{clean, scan, wipe};
use super::identity;
use super::{reply, scripts};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::shard::{Probe, ShardError, ShardUsage};
use crate::topology::{DeploymentId, Generation, Incarnation};

/// Commands in one pipeline.
const CHUNK: usize = 256;

/// Asks who the server is and what it was admitted at.
pub(super) async fn probe(sessions: Arc<Sessions>) -> Result<Probe, ShardError> {
    let mut session = sessions.open_any().await?;
    let mut get = ::redis::cmd("MGET");
    let keys = &sessions.connector.keys;
    get.arg(keys.admitted()).arg(keys.deployment()).arg(keys.drain());
    let answer = session.one(get).await?;
    let malformed = |_| ShardError::Malformed("the notes of the last admission".to_owned());
    let (admitted, deployment, drain): (Option<String>, Option<String>, Option<Vec<u8>>) =
        ::redis::from_redis_value(answer).map_err(malformed)?;
    let incarnation = session.run().clone();
    Ok(Probe {
        promoted: identity::was_promoted(&incarnation),
        incarnation,
        admitted: admitted.and_then(|digits| digits.parse().ok()).map(Generation),
        deployment: deployment.as_deref().and_then(DeploymentId::parse),
        drain_asked: drain.is_some(),
    })
}

pub(super) async fn fence(
    sessions: Arc<Sessions>,
    run: Incarnation,
    commands: Vec<(Partition, FenceCommand)>,
) -> Result<Vec<FenceReply>, ShardError> {
    let mut session = sessions.open(&run).await?;
    let mut replies = Vec::with_capacity(commands.len());
    for chunk in commands.chunks(CHUNK) {
        let calls = chunk
            .iter()
            .map(|(partition, command)| scripts::fence(&sessions.connector.keys, *partition, command));
        for answer in session.several(calls).await? {
            replies.push(reply::fence(answer)?);
        }
    }
    session.done();
    Ok(replies)
}

/// The owner records of `partitions`, in order.
pub(super) async fn records(
    sessions: Arc<Sessions>,
    run: Incarnation,
    partitions: Vec<Partition>,
) -> Result<Vec<Option<OwnerRecord>>, ShardError> {
    let mut session = sessions.open(&run).await?;
    let mut records = Vec::with_capacity(partitions.len());
    for chunk in partitions.chunks(CHUNK) {
        let calls = chunk
            .iter()
            .map(|partition| scripts::owner(&sessions.connector.keys, *partition));
        for answer in session.several(calls).await? {
            records.push(reply::owner_record(answer)?);
        }
    }
    session.done();
    Ok(records)
}

/// All owner records.
pub(super) async fn owners(
    sessions: Arc<Sessions>,
    run: Incarnation,
) -> Result<Vec<(Partition, OwnerRecord)>, ShardError> {
    let records = records(sessions, run, Partition::all().collect()).await?;
    let owners = Partition::all().zip(records);
    Ok(owners
        .filter_map(|(partition, record)| Some((partition, record?)))
        .collect())
}

pub(super) async fn note_admitted(
    sessions: Arc<Sessions>,
    run: Incarnation,
    (generation, deployment): (Generation, DeploymentId),
) -> Result<(), ShardError> {
    let note_command = scripts::note_admitted(&sessions.connector.keys, generation, deployment);
    note(&sessions, &run, note_command).await
}

pub(super) async fn note_drained(
    sessions: Arc<Sessions>,
    run: Incarnation,
    drained: bool,
) -> Result<(), ShardError> {
    let keys = &sessions.connector.keys;
    let mut command;
    if drained {
        command = ::redis::cmd("SET");
        command.arg(keys.drained()).arg(1);
    } else {
        command = ::redis::cmd("DEL");
        command.arg(keys.drained()).arg(keys.drain());
    }
    note(&sessions, &run, command).await
}

async fn note(sessions: &Arc<Sessions>, run: &Incarnation, command: ::redis::Cmd) -> Result<(), ShardError> {
    let mut session = sessions.open(run).await?;
    session.one(command).await?;
    session.done();
    Ok(())
}

/// How much the server holds, also for others.
pub(super) async fn usage(sessions: Arc<Sessions>, run: Incarnation) -> Result<ShardUsage, ShardError> {
    let mut session = sessions.open(&run).await?;
    let memory = session.one(info("memory")).await?;
    let stats = session.one(info("stats")).await?;
    let keys = session.one(::redis::cmd("DBSIZE")).await?;
    session.done();
    let malformed = || ShardError::Malformed("the answer to INFO".to_owned());
    let Value::Int(keys) = keys else {
        return Err(malformed());
    };
    Ok(ShardUsage {
        bytes: number(memory, "used_memory:").ok_or_else(malformed)?,
        keys: u64::try_from(keys).unwrap_or_default(),
        operations: number(stats, "instantaneous_ops_per_sec:"),
    })
}

fn info(section: &str) -> ::redis::Cmd {
    let mut info = ::redis::cmd("INFO");
    info.arg(section);
    info
}

/// What an answer to INFO says behind `name`.
fn number(info: Value, name: &str) -> Option<u64> {
    let text: String = ::redis::from_redis_value(info).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok())
}
