//! Whether the server's user may do what is needed.
//!
//! A command that the user may not run at all is named by the server where it is sent by itself, but not always where a
//! script calls it: then the script has done half of its work already. So each new connection tries what its scripts call
//! beforehand, in a way that changes nothing, and is refused with the names of what is missing.

use ::redis::{Cmd, Value};

use super::keys::Keys;
use super::{reply, scripts};

/// What the scripts of a command lane call. What is wrong with each of them is wrong after the user's permissions were
/// looked at: numbers that are none, fields without a value, a key that is not there.
const DATA: &[&[&str]] = &[
    &["DEL", "@"],
    &["GET", "@"],
    &["HDEL", "@", "f"],
    &["HEXISTS", "@", "f"],
    &["HGETALL", "@"],
    &["HINCRBY", "@", "f", "x"],
    &["HLEN", "@"],
    &["HMGET", "@", "f"],
    &["HSET", "@", "f", "v", "g"],
    &["PERSIST", "@"],
    &["PEXPIRE", "@", "1"],
    &["PTTL", "@"],
    &["PUBLISH", "@", ""],
    &["SET", "@", "v", "PX", "x"],
    &["TIME"],
    &["XADD", "@", "x", "f", "v"],
    &["XRANGE", "@", "x", "x"],
    &["XREVRANGE", "@", "x", "x"],
    &["ZADD", "@", "x", "m"],
    &["ZRANGEBYSCORE", "@", "x", "x"],
    &["ZREM", "@", "m"],
];

/// What the scripts of a coordinator call beside these.
const ADMIN: &[&[&str]] = &[
    &["DUMP", "@"],
    &["HDEL", "@", "f"],
    &["HGET", "@", "f"],
    &["HLEN", "@"],
    &["HMGET", "@", "f"],
    &["HSCAN", "@", "x"],
    &["HSET", "@", "f", "v", "g"],
    &["MEMORY", "USAGE", "@"],
    &["PERSIST", "@"],
    &["PEXPIREAT", "@", "1"],
    &["PTTL", "@"],
    &["PUBLISH", "@", ""],
    &["RESTORE", "@", "0", "x"],
    &["SET", "@", "v", "PX", "x"],
    &["TIME"],
    &["UNLINK", "@"],
    &["XADD", "@", "x", "f", "v"],
    &["XLEN", "@"],
    &["XRANGE", "@", "x", "x"],
    &["XREVRANGE", "@", "x", "x"],
    &["XTRIM", "@", "MAXLEN", "x"],
    &["ZADD", "@", "x", "m"],
    &["ZRANGEBYSCORE", "@", "x", "x"],
    &["ZREM", "@", "m"],
    &["ZSCORE", "@", "m"],
];

/// Tries what a command lane needs. To be sent behind [`scripts::load_for_data`].
pub(super) fn for_data(keys: &Keys) -> Cmd {
    scripts::rehearse(keys, DATA)
}

/// Tries what a coordinator needs. To be sent behind [`scripts::load_for_admin`].
pub(super) fn for_admin(keys: &Keys) -> Cmd {
    scripts::rehearse(keys, ADMIN)
}

/// What the answer says is missing.
pub(super) fn missing(answer: Value) -> Result<(), String> {
    let denied = reply::fields(answer).map_err(|error| error.to_string())?;
    let denied: Vec<String> = denied
        .into_iter()
        .flatten()
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .collect();
    let (mut commands, mut others) = (Vec::new(), Vec::new());
    for pair in denied.chunks(2) {
        match pair {
            [_, error] if error.contains(" key") => others.push("keys"),
            [_, error] if error.contains(" channel") => others.push("Pub/Sub channels"),
            [command, _] => commands.push(command.as_str()),
            _ => {}
        }
    }
    if !commands.is_empty() {
        return Err(format!(
            "the Redis user may not run {}: grant it what docs/redis.md lists (ACL SETUSER)",
            commands.join(", ")
        ));
    }
    match others.first() {
        Some(what) => Err(format!(
            "the Redis user may not use the {what} that begin with cluster.prefix: grant it what docs/redis.md lists \
             (ACL SETUSER)"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(commands: &[&[&str]]) -> BTreeSet<String> {
        commands.iter().map(|words| words[0].to_owned()).collect()
    }

    #[test]
    fn everything_that_scripts_call_is_tried() {
        let [data, admin] = scripts::testing::called();
        assert_eq!(names(DATA), data);
        assert_eq!(names(ADMIN), admin);
    }

    #[test]
    fn what_is_missing_is_named() {
        let answer = |pairs: &[(&str, &str)]| {
            let texts = pairs.iter().flat_map(|(name, error)| [*name, *error]);
            Value::Array(texts.map(|text| Value::BulkString(text.into())).collect())
        };
        assert_eq!(missing(answer(&[])), Ok(()));
        let denial = "The user executing the script can't run this command or subcommand";
        let error = missing(answer(&[("HINCRBY", denial), ("XADD", denial)])).unwrap_err();
        assert!(error.contains("HINCRBY, XADD"), "{error}");
        let denial = "NOPERM No permissions to access a key";
        let error = missing(answer(&[("DEL", denial)])).unwrap_err();
        assert!(error.contains("may not use the keys"), "{error}");
    }
}
