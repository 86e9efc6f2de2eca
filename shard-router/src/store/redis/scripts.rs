//! What the server does atomically.

use redis::Script;

/// The scripts, hashed once. The server gets one the first time it does not know it.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) compare_and_set: Script,
    pub(super) register: Script,
    pub(super) deregister: Script,
    pub(super) gateways: Script,
    pub(super) hold_lease: Script,
    pub(super) release_lease: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let with_clock = |body: &str| Script::new(&format!("{EXPIRE}\n{body}"));
        Self {
            compare_and_set: Script::new(COMPARE_AND_SET),
            register: with_clock(REGISTER),
            deregister: Script::new(DEREGISTER),
            gateways: with_clock(GATEWAYS),
            hold_lease: Script::new(HOLD_LEASE),
            release_lease: Script::new(RELEASE_LEASE),
        }
    }
}

/// `ARGV`: expected generation and change id (empty: no document), then the new ones, the document, the channel.
/// Numbers are compared as the strings they were stored as: Lua's own lose precision.
const COMPARE_AND_SET: &str = r"
local stored = redis.call('HMGET', KEYS[1], 'generation', 'change_id')
if (stored[1] or '') ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], 'generation', ARGV[3], 'change_id', ARGV[4], 'document', ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[3])
return 1
";

/// Takes what has expired off the registry (`KEYS`: expiries, reports) and leaves the time in `now`.
const EXPIRE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expired = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE')
for _, gateway in ipairs(expired) do
    redis.call('ZREM', KEYS[1], gateway)
    redis.call('HDEL', KEYS[2], gateway)
end
";

/// `ARGV`: gateway, report, time to live in milliseconds, whether it must be registered.
const REGISTER: &str = r"
if ARGV[4] == '1' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return 0
end
redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
";

/// `ARGV`: gateway.
const DEREGISTER: &str = r"
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
";

/// Answers pairs of gateway and report.
const GATEWAYS: &str = r"
local live = {}
for _, gateway in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    table.insert(live, {gateway, redis.call('HGET', KEYS[2], gateway) or ''})
end
return live
";

/// `ARGV`: gateway, time to live in milliseconds.
const HOLD_LEASE: &str = r"
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
";

/// `ARGV`: gateway.
const RELEASE_LEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
";
