//! The commands by which a partition is copied and deleted.

use ::redis::Cmd;
use bytes::Bytes;
use campanile_common::Timestamp;

use super::{CLEAN, COPY, DIRTY, DROP_MEMBER, RESTORE, RESTORE_MEMBERS, RESTORE_STREAM, Script, WIPE, call};
use crate::partition::Partition;
use crate::redis::keys::Keys;
use crate::redis::part::Wanted;
use crate::shard::key_name::KeyName;
use crate::shard::parts::{MembersPart, StreamPart};
use crate::topology::{Generation, Token};

/// How much one call reads, in bytes with what handling them costs: about two milliseconds of the server's time.
const COPY_BUDGET: usize = 128 << 10;

/// Asks what changed in a partition after change number `since`.
pub(in crate::redis) fn dirty(
    keys: &Keys,
    partition: Partition,
    generation: Generation,
    since: u64,
    limit: usize,
) -> Cmd {
    let mut command = call(&DIRTY, &[keys.owner(partition), keys.dirty(partition)]);
    command.arg(generation.0).arg(since).arg(limit);
    command
}

/// Reads items.
pub(in crate::redis) fn copy(keys: &Keys, generation: Generation, items: &[Wanted<'_>]) -> Cmd {
    let names = items.iter().flat_map(|item| {
        let [key, other] = keys.of_name(item.partition, item.name);
        [keys.owner(item.partition), key, other]
    });
    let mut command = call(&COPY, &names.collect::<Vec<_>>());
    command.arg(generation.0).arg(COPY_BUDGET);
    for word in items.iter().flat_map(Wanted::words) {
        command.arg(&word[..]);
    }
    command
}

/// Deletes keys of a partition that was closed at `through` or before.
pub(in crate::redis) fn clean(
    keys: &Keys,
    partition: Partition,
    doomed: &[String],
    through: Generation,
) -> Cmd {
    let names: Vec<_> = std::iter::once(keys.owner(partition))
        .chain(doomed.iter().cloned())
        .collect();
    let mut command = call(&CLEAN, &names);
    command.arg(through.0);
    command
}

/// A partition that is being filled.
pub(in crate::redis) struct Target<'a> {
    pub(in crate::redis) keys: &'a Keys,
    pub(in crate::redis) partition: Partition,
    pub(in crate::redis) generation: Generation,
    pub(in crate::redis) token: Token,
}

impl Target<'_> {
    /// Deletes keys.
    pub(in crate::redis) fn wipe(&self, doomed: &[String]) -> Cmd {
        self.call(&WIPE, doomed)
    }

    /// Deletes all that has this name.
    pub(in crate::redis) fn delete(&self, name: KeyName<'_>) -> Cmd {
        let [key, other] = self.keys.of_name(self.partition, name);
        match name {
            KeyName::Presence(_) => self.wipe(&[key, other]),
            _ => self.wipe(&[key]),
        }
    }

    /// Writes keys as they were dumped.
    pub(in crate::redis) fn restore(
        &self,
        name: KeyName<'_>,
        dumps: &[Bytes],
        due: Option<Timestamp>,
    ) -> Cmd {
        let keys = self.keys.of_name(self.partition, name);
        let mut command = self.call(&RESTORE, &keys[..dumps.len().min(keys.len())]);
        command.arg(time(due));
        for dump in dumps {
            command.arg(&dump[..]);
        }
        command
    }

    /// Writes some of a stream.
    pub(in crate::redis) fn restore_stream(&self, name: KeyName<'_>, part: &StreamPart) -> Cmd {
        let [stream, _] = self.keys.of_name(self.partition, name);
        let mut command = self.call(&RESTORE_STREAM, &[stream]);
        let after = part.after.map(|after| after.get().to_string());
        let length = part.end.map(|end| end.length.to_string());
        command
            .arg(after.unwrap_or_default())
            .arg(length.unwrap_or_default());
        command.arg(time(part.end.and_then(|end| end.due)));
        for (offset, envelope) in &part.entries {
            command.arg(offset.get()).arg(&envelope[..]);
        }
        command
    }

    /// Writes some of a channel's presence.
    pub(in crate::redis) fn restore_members(&self, name: KeyName<'_>, part: &MembersPart) -> Cmd {
        let keys = self.keys.of_name(self.partition, name);
        let mut command = self.call(&RESTORE_MEMBERS, &keys);
        command.arg(u8::from(part.anew)).arg(time(part.due));
        for member in &part.members {
            command.arg(&member.client).arg(&member.envelope[..]);
            command.arg(member.due.as_millis());
        }
        command
    }

    /// Removes a client from a channel's presence.
    pub(in crate::redis) fn drop_member(&self, name: KeyName<'_>, client: &str) -> Cmd {
        let keys = self.keys.of_name(self.partition, name);
        let mut command = self.call(&DROP_MEMBER, &keys);
        command.arg(client);
        command
    }

    fn call(&self, script: &Script, keys: &[String]) -> Cmd {
        let names: Vec<_> = std::iter::once(self.keys.owner(self.partition))
            .chain(keys.iter().cloned())
            .collect();
        let mut command = call(script, &names);
        command.arg(self.generation.0).arg(self.token.0);
        command
    }
}

/// As scripts take it: nothing for never.
fn time(due: Option<Timestamp>) -> String {
    due.map(|due| due.as_millis().to_string()).unwrap_or_default()
}
