//! Which shards the DNS has named lately.
//!
//! A name server may leave a host out of an answer: one whose probe failed, one that is being restarted, one that it has
//! not heard of yet. A shard that is missing is drained, which moves everything it holds. So a shard is taken for gone only
//! once no answer has named it for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use campanile_shard_router::topology::ShardId;

/// The shards that were named, and since which answer each has been missing.
#[derive(Clone, Debug)]
pub struct Sightings<T> {
    gone_after: Duration,
    known: BTreeMap<ShardId, (T, Option<Instant>)>,
}

impl<T: Clone> Sightings<T> {
    /// `known` are the shards of before.
    pub fn new(gone_after: Duration, known: BTreeMap<ShardId, T>) -> Self {
        let known = known.into_iter().map(|(id, shard)| (id, (shard, None)));
        Self {
            gone_after,
            known: known.collect(),
        }
    }

    /// Takes an answer in, and gives the list that follows from it and those before.
    pub fn answer(&mut self, mut named: BTreeMap<ShardId, T>, now: Instant) -> BTreeMap<ShardId, T> {
        let gone_after = self.gone_after;
        self.known.retain(|id, (shard, missing)| match named.remove(id) {
            Some(named) => {
                (*shard, *missing) = (named, None);
                true
            }
            None => now.saturating_duration_since(*missing.get_or_insert(now)) < gone_after,
        });
        let new = named.into_iter().map(|(id, shard)| (id, (shard, None)));
        self.known.extend(new);
        let list = self.known.iter();
        list.map(|(id, (shard, _))| (id.clone(), shard.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> BTreeMap<ShardId, ()> {
        names.iter().map(|name| (ShardId::new(name), ())).collect()
    }

    #[test]
    fn a_shard_is_gone_once_it_has_been_missing_for_long_enough() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sightings = Sightings::new(Duration::from_secs(60), named(&["a", "b"]));
        assert_eq!(sightings.answer(named(&["a"]), at(0)), named(&["a", "b"]));
        assert_eq!(
            sightings.answer(named(&["a", "b", "c"]), at(59)),
            named(&["a", "b", "c"])
        );
        assert_eq!(sightings.answer(named(&["a"]), at(60)), named(&["a", "b", "c"]));
        assert_eq!(sightings.answer(named(&["a"]), at(119)), named(&["a", "b", "c"]));
        assert_eq!(sightings.answer(named(&["a"]), at(120)), named(&["a"]));
    }

    #[test]
    fn a_time_without_answers_does_not_count() {
        let start = Instant::now();
        let mut sightings = Sightings::new(Duration::from_secs(60), named(&["a", "b"]));
        assert_eq!(sightings.answer(named(&["a", "b"]), start), named(&["a", "b"]));
        let an_hour_later = start + Duration::from_secs(3600);
        assert_eq!(sightings.answer(named(&["a"]), an_hour_later), named(&["a", "b"]));
    }

    #[test]
    fn what_is_named_anew_is_what_counts() {
        let now = Instant::now();
        let shard = |port: u16| BTreeMap::from([(ShardId::new("a"), port)]);
        let mut sightings = Sightings::new(Duration::ZERO, shard(1));
        assert_eq!(sightings.answer(shard(2), now), shard(2));
        assert_eq!(sightings.answer(BTreeMap::new(), now), BTreeMap::new());
    }
}
