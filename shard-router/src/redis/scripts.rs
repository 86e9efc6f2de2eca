//! The Lua scripts, and the commands that call them.

mod moving;

use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use ::redis::{Cmd, RedisWrite as _};

pub(super) use self::moving::{Target, clean, copy, dirty};
use super::keys::{ChannelKeys, Keys, Parts};
use crate::fence::FenceCommand;
use crate::partition::Partition;
use crate::publication::Publication;
use crate::shard::envelope;
use crate::shard::{
    Announcement, HistoryRange, HistoryRequest, MAX_PRESENCE_PAGE, PositionRequest, PresenceEntry,
    PublishRequest, StreamLimits,
};
use crate::topology::{DeploymentId, Generation, Token};

/// A script, and the name by which the server knows it.
struct Script {
    code: String,
    hash: String,
}

impl Script {
    fn new(code: String) -> Self {
        let hash = ::redis::Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }
}

/// A script, behind others that stand before it.
macro_rules! script {
    ($($file:literal),+) => {
        LazyLock::new(|| Script::new([$(include_str!(concat!("scripts/", $file, ".lua"))),+].join("\n")))
    };
}

static PUBLISH: LazyLock<Script> = script!("prelude", "publish");
static ANNOUNCE: LazyLock<Script> = script!("prelude", "announce");
static HISTORY: LazyLock<Script> = script!("prelude", "history");
static POSITIONS: LazyLock<Script> = script!("prelude", "positions");
static REMOVE_HISTORY: LazyLock<Script> = script!("prelude", "remove_history");
static ENTER: LazyLock<Script> = script!("prelude", "members", "enter");
static LEAVE: LazyLock<Script> = script!("prelude", "members", "leave");
static PRESENCE: LazyLock<Script> = script!("prelude", "members", "presence");
static PRESENCE_PAGE: LazyLock<Script> = script!("prelude", "members", "presence_page");
static FENCE: LazyLock<Script> = script!("fence");
static WIPE: LazyLock<Script> = script!("target", "wipe");
static CLEAN: LazyLock<Script> = script!("clean");
static DIRTY: LazyLock<Script> = script!("dirty");
static COPY: LazyLock<Script> = script!("copy");
static RESTORE: LazyLock<Script> = script!("target", "restore");
static RESTORE_STREAM: LazyLock<Script> = script!("target", "restore_stream");
static RESTORE_MEMBERS: LazyLock<Script> = script!("target", "restore_members");
static DROP_MEMBER: LazyLock<Script> = script!("target", "drop_member");
static NOTE: LazyLock<Script> = script!("note");
static REHEARSE: LazyLock<Script> = script!("rehearse");

/// What a command lane needs.
fn for_data() -> [&'static Script; 10] {
    [
        &PUBLISH,
        &ANNOUNCE,
        &HISTORY,
        &POSITIONS,
        &REMOVE_HISTORY,
        &ENTER,
        &LEAVE,
        &PRESENCE,
        &PRESENCE_PAGE,
        &REHEARSE,
    ]
}

/// What a coordinator needs.
fn for_admin() -> [&'static Script; 11] {
    [
        &FENCE,
        &WIPE,
        &CLEAN,
        &DIRTY,
        &COPY,
        &RESTORE,
        &RESTORE_STREAM,
        &RESTORE_MEMBERS,
        &DROP_MEMBER,
        &NOTE,
        &REHEARSE,
    ]
}

/// The commands that load what a command lane needs.
pub(super) fn load_for_data() -> Vec<Cmd> {
    for_data().map(load).into()
}

/// The commands that load what a coordinator needs.
pub(super) fn load_for_admin() -> Vec<Cmd> {
    for_admin().map(load).into()
}

fn load(script: &Script) -> Cmd {
    let mut command = ::redis::cmd("SCRIPT");
    command.arg("LOAD").arg(&script.code);
    command
}

fn call(script: &Script, keys: &[String]) -> Cmd {
    let mut command = ::redis::cmd("EVALSHA");
    command.arg(&script.hash).arg(keys.len()).arg(keys);
    command
}

/// Written in place, without a string for each name: this is asked for more often than all the rest together, and with
/// strings it took three of the ten microseconds that a publication costs the gateway.
pub(super) fn publish(keys: &Keys, partition: Partition, request: &PublishRequest) -> Cmd {
    let PublishRequest {
        channel,
        publication,
        stream,
        idempotency,
        version,
        new_epoch,
    } = request;
    let none = StreamLimits {
        size: 0,
        ttl: Duration::ZERO,
        meta_ttl: Duration::ZERO,
    };
    let limits = stream.unwrap_or(none);
    let names = keys.of_channel(partition, channel);
    let mut command = Cmd::with_capacity(20, publish_size(&names, publication));
    command
        .arg("EVALSHA")
        .arg(&PUBLISH.hash)
        .arg(4 + usize::from(idempotency.is_some()));
    for name in [names.owner(), names.dirty(), names.stream(), names.meta()] {
        write_name(&mut command, name);
    }
    if let Some(key) = idempotency {
        command.arg(keys.result(partition, channel, &key.key));
    }
    write_name(&mut command, names.topic());
    envelope::write_publication(&mut command.writer_for_next_arg(), publication);
    command
        .arg(limits.size)
        .arg(millis(limits.ttl))
        .arg(millis(limits.meta_ttl.max(limits.ttl)));
    command.arg(new_epoch.as_str());
    match idempotency {
        // A TTL of nothing is none that Redis takes.
        Some(key) => command.arg(millis(key.ttl).max(1)),
        None => command.arg(""),
    };
    match version {
        Some(version) => command.arg(version.number).arg(&version.epoch),
        None => command.arg("").arg(""),
    };
    command
}

/// About how many bytes the arguments of a publication have.
fn publish_size(names: &ChannelKeys<'_>, publication: &Publication) -> usize {
    const OTHERS: usize = 256;
    OTHERS + 5 * names.length() + publication.data.len()
}

fn write_name(command: &mut Cmd, parts: Parts<'_>) {
    let mut argument = command.writer_for_next_arg();
    for part in parts {
        argument.write_all(part.as_bytes()).expect("memory takes it");
    }
}

pub(super) fn announce(keys: &Keys, partition: Partition, channel: &str, message: &Announcement) -> Cmd {
    let envelope = match message {
        Announcement::Join(info) => envelope::encode_join(info),
        Announcement::Leave(info) => envelope::encode_leave(info),
    };
    let mut command = call(&ANNOUNCE, &[keys.owner(partition), keys.dirty(partition)]);
    command.arg(keys.topic(partition, channel)).arg(envelope);
    command
}

pub(super) fn history(keys: &Keys, partition: Partition, request: &HistoryRequest) -> Cmd {
    let mut command = call(&HISTORY, &channel_keys(keys, partition, &request.channel));
    command
        .arg(millis(request.meta_ttl))
        .arg(request.new_epoch.as_str());
    let HistoryRange {
        since,
        limit,
        reverse,
    } = request.range;
    let since = since.map(campanile_common::Offset::get);
    // An entry's ID is `<offset>-0`: "(7" stands for all after it, or before it.
    let bound = since.map(|offset| format!("({offset}-0"));
    if reverse {
        command
            .arg("XREVRANGE")
            .arg(bound.as_deref().unwrap_or("+"))
            .arg("-");
    } else {
        command
            .arg("XRANGE")
            .arg(bound.as_deref().unwrap_or("-"))
            .arg("+");
    }
    match limit {
        // Nothing is before the first; Redis takes no such end.
        _ if reverse && since == Some(0) => command.arg(0),
        Some(limit) => command.arg(limit),
        None => command.arg(""),
    };
    command
}

pub(super) fn position(keys: &Keys, request: &PositionRequest) -> Cmd {
    let mut command = call(
        &POSITIONS,
        &channel_keys(keys, request.partition, &request.channel),
    );
    command
        .arg(millis(request.meta_ttl))
        .arg(request.new_epoch.as_str());
    command
}

pub(super) fn remove_history(keys: &Keys, partition: Partition, channel: &str) -> Cmd {
    let mut command = call(&REMOVE_HISTORY, &channel_keys(keys, partition, channel)[..3]);
    command
        .arg(keys.topic(partition, channel))
        .arg(envelope::encode_cleared());
    command
}

pub(super) fn enter(keys: &Keys, entry: &PresenceEntry) -> Cmd {
    let mut command = call(&ENTER, &member_keys(keys, entry.partition, &entry.channel));
    command
        .arg(&entry.info.client)
        .arg(envelope::encode_member(&entry.info))
        .arg(millis(entry.ttl));
    command
}

pub(super) fn leave(keys: &Keys, partition: Partition, channel: &str, client: &str) -> Cmd {
    let mut command = call(&LEAVE, &member_keys(keys, partition, channel));
    command.arg(client);
    command
}

pub(super) fn presence(keys: &Keys, partition: Partition, channel: &str) -> Cmd {
    call(&PRESENCE, &member_keys(keys, partition, channel))
}

pub(super) fn presence_page(keys: &Keys, partition: Partition, channel: &str, limit: usize) -> Cmd {
    let mut command = call(&PRESENCE_PAGE, &member_keys(keys, partition, channel));
    command.arg(limit.min(MAX_PRESENCE_PAGE));
    command
}

pub(super) fn fence(keys: &Keys, partition: Partition, command: &FenceCommand) -> Cmd {
    let none = Generation(0);
    let (act, generation, token, keep_epochs, other) = match command {
        FenceCommand::Admit {
            generation,
            keep_epochs,
        } => ("admit", generation, Token(0), *keep_epochs, none),
        FenceCommand::Reopen { generation } => ("reopen", generation, Token(0), false, none),
        FenceCommand::Fresh {
            generation,
            token,
            unless_open,
        } => ("fresh", generation, *token, false, unless_open.unwrap_or(none)),
        FenceCommand::Open { generation, token } => ("open", generation, *token, false, none),
        FenceCommand::Import {
            generation,
            token,
            floor,
        } => ("import", generation, *token, false, *floor),
        FenceCommand::Migrate { generation } => ("migrate", generation, Token(0), false, none),
        FenceCommand::Seal { generation } => ("seal", generation, Token(0), false, none),
        FenceCommand::Abort { generation, moving } => ("abort", generation, Token(0), false, *moving),
        FenceCommand::Reclaim { generation } => ("reclaim", generation, Token(0), false, none),
        FenceCommand::Close { through } => ("close", through, Token(0), false, none),
    };
    let mut call = call(&FENCE, &[keys.owner(partition), keys.dirty(partition)]);
    call.arg(act)
        .arg(generation.0)
        .arg(token.0)
        .arg(u8::from(keep_epochs));
    call.arg(keys.control()).arg(partition.to_string()).arg(other.0);
    call
}

/// Notes an admission.
pub(super) fn note_admitted(keys: &Keys, generation: Generation, deployment: DeploymentId) -> Cmd {
    let mut command = call(&NOTE, &[keys.admitted(), keys.deployment()]);
    command.arg(generation.0).arg(deployment.to_string());
    command
}

/// Tries `commands`, in which `@` stands for a key, in a way that changes nothing.
pub(super) fn rehearse(keys: &Keys, commands: &[&[&str]]) -> Cmd {
    let mut command = call(&REHEARSE, &[keys.rehearsal()]);
    for words in commands {
        command.arg(words.len()).arg(*words);
    }
    command
}

/// Asks for a partition's owner record.
pub(super) fn owner(keys: &Keys, partition: Partition) -> Cmd {
    let mut command = ::redis::cmd("HMGET");
    command.arg(keys.owner(partition)).arg(&["g", "s", "t", "f"]);
    command
}

fn channel_keys(keys: &Keys, partition: Partition, channel: &str) -> Vec<String> {
    vec![
        keys.owner(partition),
        keys.dirty(partition),
        keys.stream(partition, channel),
        keys.meta(partition, channel),
    ]
}

fn member_keys(keys: &Keys, partition: Partition, channel: &str) -> [String; 4] {
    [
        keys.owner(partition),
        keys.dirty(partition),
        keys.presence(partition, channel),
        keys.expiry(partition, channel),
    ]
}

/// Milliseconds as Redis takes them. A century is for ever, and keeps sums in Lua's numbers exact.
fn millis(duration: Duration) -> u64 {
    const CENTURY: u64 = 100 * 366 * 24 * 3600 * 1000;
    u64::try_from(duration.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}

#[cfg(test)]
pub(super) mod testing {
    use std::collections::BTreeSet;

    use super::*;

    /// The commands that the scripts of a command lane call, and those of a coordinator's.
    pub(in crate::redis) fn called() -> [BTreeSet<String>; 2] {
        [called_in(&for_data()), called_in(&for_admin())]
    }

    fn called_in(scripts: &[&Script]) -> BTreeSet<String> {
        let calls = scripts
            .iter()
            .flat_map(|script| script.code.split("redis.call(").skip(1));
        let names = calls.flat_map(|call| match call.strip_prefix('\'') {
            Some(rest) => vec![rest.split('\'').next().unwrap_or_default()],
            // The one that is an argument.
            None => vec!["XRANGE", "XREVRANGE"],
        });
        names.map(str::to_owned).collect()
    }
}
