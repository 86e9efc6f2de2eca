//! From what the router knows to what clients are told.

use std::collections::{BTreeMap, HashSet};

use campanile_common::Timestamp;
use campanile_common::message::{ClientInfo, HistoryResult, PresenceStatsResult};
use campanile_shard_router::shard::HistoryPage;

/// Longest time to live that clients are told, in seconds: a year. SDKs make a timer of it, and those of some
/// platforms overflow beyond.
const MAX_TTL: u64 = 365 * 24 * 60 * 60;

/// Seconds from `now` to `at`, at least one: an SDK takes none for now, and would ask in a loop.
pub(super) fn ttl(at: Timestamp, now: Timestamp) -> u32 {
    let secs = at.saturating_since(now).as_secs().clamp(1, MAX_TTL);
    u32::try_from(secs).expect("a year of seconds fits u32")
}

/// A part of a stream as clients see it.
pub(super) fn history(page: &HistoryPage) -> HistoryResult {
    HistoryResult {
        publications: page.publications.iter().map(Into::into).collect(),
        epoch: page.position.epoch.as_str().into(),
        offset: page.position.offset.get(),
    }
}

/// How many are present.
pub(super) fn presence_stats(present: &BTreeMap<String, ClientInfo>) -> PresenceStatsResult {
    let users: HashSet<&str> = present.values().map(|info| info.user.as_str()).collect();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    PresenceStatsResult {
        num_clients: count(present.len()),
        num_users: count(users.len()),
    }
}
