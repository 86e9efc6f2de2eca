//! The names of keys and Pub/Sub channels.
//!
//! Every key of a partition carries the hash tag `{p}`, so that a partition's keys would share a Redis Cluster slot.

use crate::partition::Partition;
use crate::shard::key_name::KeyName;

/// Makes names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// The names that belong to one channel, in parts: a publication needs six of them, which are written where they are
/// needed instead of being made first.
pub(super) struct ChannelKeys<'a> {
    stem: String,
    channel: &'a str,
}

/// A name whose parts follow each other.
pub(super) type Parts<'a> = [&'a str; 3];

impl ChannelKeys<'_> {
    /// About how long each of them is.
    pub(super) fn length(&self) -> usize {
        self.stem.len() + "stream:".len() + self.channel.len()
    }

    /// See [`Keys::owner`].
    pub(super) fn owner(&self) -> Parts<'_> {
        [&self.stem, "owner", ""]
    }

    /// See [`Keys::dirty`].
    pub(super) fn dirty(&self) -> Parts<'_> {
        [&self.stem, "dirty", ""]
    }

    /// See [`Keys::stream`].
    pub(super) fn stream(&self) -> Parts<'_> {
        [&self.stem, "stream:", self.channel]
    }

    /// See [`Keys::meta`].
    pub(super) fn meta(&self) -> Parts<'_> {
        [&self.stem, "meta:", self.channel]
    }

    /// See [`Keys::topic`].
    pub(super) fn topic(&self) -> Parts<'_> {
        [&self.stem, "pub:", self.channel]
    }
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The names of one channel and its partition.
    pub(super) fn of_channel<'a>(&self, partition: Partition, channel: &'a str) -> ChannelKeys<'a> {
        let stem = format!("{}:{{{partition}}}:", self.prefix);
        ChannelKeys { stem, channel }
    }

    /// The owner record: a hash of generation `g`, state `s`, token `t`, epoch floor `f`, and the number `d` of the last
    /// change while the partition migrates.
    pub(super) fn owner(&self, partition: Partition) -> String {
        self.of(partition, "owner")
    }

    /// What changed while the partition migrates: a sorted set of names by the number of the last change.
    pub(super) fn dirty(&self, partition: Partition) -> String {
        self.of(partition, "dirty")
    }

    /// A channel's publications: a stream with the IDs `<offset>-0`, the envelope in the field `p`.
    pub(super) fn stream(&self, partition: Partition, channel: &str) -> String {
        self.of_channel(partition, channel).stream().concat()
    }

    /// A channel's position: a hash of epoch `e`, top offset `o`, floor `f`, version `v` and its epoch `ve`.
    pub(super) fn meta(&self, partition: Partition, channel: &str) -> String {
        self.of_channel(partition, channel).meta().concat()
    }

    /// A channel's members: a hash of envelopes by client.
    pub(super) fn presence(&self, partition: Partition, channel: &str) -> String {
        self.of(partition, "presence:") + channel
    }

    /// When each of a channel's members expires: a sorted set of clients by milliseconds.
    pub(super) fn expiry(&self, partition: Partition, channel: &str) -> String {
        self.of(partition, "expiry:") + channel
    }

    /// The result of a publication, by idempotency key. The channel's length keeps `a:b` + `c` apart from `a` + `b:c`.
    pub(super) fn result(&self, partition: Partition, channel: &str, key: &str) -> String {
        format!(
            "{}:{{{partition}}}:idem:{}:{channel}:{key}",
            self.prefix,
            channel.len()
        )
    }

    /// The Pub/Sub channel of a channel.
    pub(super) fn topic(&self, partition: Partition, channel: &str) -> String {
        self.of_channel(partition, channel).topic().concat()
    }

    /// The Pub/Sub channel of markers.
    pub(super) fn control(&self) -> String {
        format!("{}:control", self.prefix)
    }

    /// The note of the last admission.
    pub(super) fn admitted(&self) -> String {
        format!("{}:admitted", self.prefix)
    }

    /// The note of the deployment that admitted the server last.
    pub(super) fn deployment(&self) -> String {
        format!("{}:deployment", self.prefix)
    }

    /// Says, to whoever wanted the shard drained, that it is.
    pub(super) fn drained(&self) -> String {
        format!("{}:drained", self.prefix)
    }

    /// Set by whoever wants the shard drained.
    pub(super) fn drain(&self) -> String {
        format!("{}:drain", self.prefix)
    }

    /// A key that never exists, and a Pub/Sub channel that nobody is subscribed to.
    pub(super) fn rehearsal(&self) -> String {
        format!("{}:rehearsal", self.prefix)
    }

    /// The channel that a Pub/Sub channel belongs to.
    pub(super) fn channel_of_topic<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let (_, rest) = self.partition_and_rest(topic)?;
        rest.strip_prefix("pub:")
    }

    /// The partition whose data a key is part of, and what follows; `None` for the records that are never deleted, and
    /// for what is not ours.
    pub(super) fn data<'a>(&self, key: &'a str) -> Option<(Partition, &'a str)> {
        self.partition_and_rest(key)
            .filter(|(_, rest)| *rest != "owner" && *rest != "dirty")
    }

    /// The key that has this name in copies, and the one that belongs to it: a stream's position, a presence's expiry,
    /// otherwise the same.
    pub(super) fn of_name(&self, partition: Partition, name: KeyName<'_>) -> [String; 2] {
        match name {
            KeyName::Stream(channel) => [self.stream(partition, channel), self.meta(partition, channel)],
            KeyName::Meta(channel) => [self.meta(partition, channel), self.meta(partition, channel)],
            KeyName::Presence(channel) | KeyName::Member { channel, .. } => {
                [self.presence(partition, channel), self.expiry(partition, channel)]
            }
            KeyName::Result { channel, key } => {
                let result = self.result(partition, channel, key);
                [result.clone(), result]
            }
        }
    }

    /// Matches every key of every partition, and possibly others.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern + ":{*}:*"
    }

    fn partition_and_rest<'a>(&self, name: &'a str) -> Option<(Partition, &'a str)> {
        let tagged = name.strip_prefix(self.prefix.as_str())?.strip_prefix(":{")?;
        let (number, rest) = tagged.split_once("}:")?;
        Some((Partition::from_index(number.parse().ok()?)?, rest))
    }

    fn of(&self, partition: Partition, kind: &str) -> String {
        format!("{}:{{{partition}}}:{kind}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: fn() -> Partition = || Partition::from_index(17).unwrap();

    #[test]
    fn names_are_as_documented() {
        let keys = Keys::new("campanile");
        assert_eq!(keys.owner(P()), "campanile:{17}:owner");
        assert_eq!(keys.dirty(P()), "campanile:{17}:dirty");
        assert_eq!(keys.stream(P(), "a:b"), "campanile:{17}:stream:a:b");
        assert_eq!(keys.meta(P(), "a:b"), "campanile:{17}:meta:a:b");
        assert_eq!(keys.presence(P(), "a:b"), "campanile:{17}:presence:a:b");
        assert_eq!(keys.topic(P(), "a:b"), "campanile:{17}:pub:a:b");
        assert_eq!(keys.control(), "campanile:control");
    }

    #[test]
    fn results_of_different_channels_never_share_a_key() {
        let keys = Keys::new("campanile");
        assert_ne!(keys.result(P(), "a:b", "c"), keys.result(P(), "a", "b:c"));
    }

    #[test]
    fn topics_and_keys_are_read_back() {
        let keys = Keys::new("cam:pa");
        for channel in ["news", "a}:b", "{3}:x", "owner", "ünï:*?[", "}"] {
            assert_eq!(keys.channel_of_topic(&keys.topic(P(), channel)), Some(channel));
            let meta = keys.meta(P(), channel);
            assert_eq!(keys.data(&meta), Some((P(), &*format!("meta:{channel}"))));
        }
        assert_eq!(keys.channel_of_topic(&keys.control()), None);
        assert_eq!(keys.data(&keys.owner(P())), None);
        assert_eq!(keys.data(&keys.dirty(P())), None);
        assert_eq!(keys.data("cam:pa:{4096}:meta:x"), None);
        assert_eq!(keys.data("other:{17}:meta:x"), None);
    }

    #[test]
    fn what_is_copied_is_named_as_its_key_ends() {
        let keys = Keys::new("cam:pa");
        let names = [
            KeyName::Stream("a:b"),
            KeyName::Meta("a:b"),
            KeyName::Presence("a:b"),
            KeyName::Result {
                channel: "a:b",
                key: "c",
            },
        ];
        for name in names {
            let [key, _] = keys.of_name(P(), name);
            assert_eq!(keys.data(&key), Some((P(), &*name.to_string())));
        }
    }

    #[test]
    fn the_pattern_takes_the_prefix_literally() {
        assert_eq!(Keys::new("a*b").pattern(), "a\\*b:{*}:*");
    }
}
