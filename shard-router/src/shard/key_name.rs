//! What the keys of a partition are called where they are copied from shard to shard: without what is a server's own
//! (its prefix, the partition). Those who carry copies never look inside.

use std::fmt;

use super::CopyScope;
use crate::safeguard::{Safeguard, holds};

/// One key, or one member of a channel's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyName<'a> {
    /// A channel's publications.
    Stream(&'a str),
    /// A channel's position and version.
    Meta(&'a str),
    /// A channel's presence, all of it.
    Presence(&'a str),
    /// One client's entry in a channel's presence.
    Member {
        /// The channel.
        channel: &'a str,
        /// The client's id.
        client: &'a str,
    },
    /// What became of the publication made under an idempotency key.
    Result {
        /// The channel.
        channel: &'a str,
        /// The idempotency key.
        key: &'a str,
    },
}

impl<'a> KeyName<'a> {
    /// The channel it is part of.
    pub(crate) fn channel(&self) -> &'a str {
        match self {
            Self::Stream(channel)
            | Self::Meta(channel)
            | Self::Presence(channel)
            | Self::Member { channel, .. }
            | Self::Result { channel, .. } => channel,
        }
    }

    /// Reads a name; `None` for what this release does not copy.
    pub(crate) fn parse(name: &'a [u8]) -> Option<Self> {
        let (kind, rest) = std::str::from_utf8(name).ok()?.split_once(':')?;
        match kind {
            "stream" => Some(Self::Stream(rest)),
            "meta" => Some(Self::Meta(rest)),
            "presence" => Some(Self::Presence(rest)),
            "member" => within(rest).map(|(channel, client)| Self::Member { channel, client }),
            "idem" => within(rest).map(|(channel, key)| Self::Result { channel, key }),
            _ => None,
        }
    }
}

/// Channel and rest of `<length of channel>:<channel>:<rest>`: the length keeps `a:b` + `c` apart from `a` + `b:c`.
fn within(text: &str) -> Option<(&str, &str)> {
    let (length, text) = text.split_once(':')?;
    let (channel, rest) = text.split_at_checked(length.parse().ok()?)?;
    Some((channel, rest.strip_prefix(':')?))
}

impl CopyScope {
    /// Whether what has this name is copied.
    pub(crate) fn includes(self, name: &[u8]) -> bool {
        match KeyName::parse(name) {
            Some(KeyName::Result { .. }) => holds(Safeguard::ResultsMove),
            Some(_) => self == Self::All,
            None => false,
        }
    }
}

impl fmt::Display for KeyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(channel) => write!(f, "stream:{channel}"),
            Self::Meta(channel) => write!(f, "meta:{channel}"),
            Self::Presence(channel) => write!(f, "presence:{channel}"),
            Self::Member { channel, client } => write!(f, "member:{}:{channel}:{client}", channel.len()),
            Self::Result { channel, key } => write!(f, "idem:{}:{channel}:{key}", channel.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_whatever_their_parts() {
        for channel in ["news", "a:b", ":", "ünï}{", "7:x"] {
            for other in ["c", "", ":", "3:é:"] {
                let names = [
                    KeyName::Stream(channel),
                    KeyName::Meta(channel),
                    KeyName::Presence(channel),
                    KeyName::Member {
                        channel,
                        client: other,
                    },
                    KeyName::Result { channel, key: other },
                ];
                for name in names {
                    assert_eq!(KeyName::parse(name.to_string().as_bytes()), Some(name));
                }
            }
        }
    }

    #[test]
    fn what_is_never_copied_has_no_name() {
        let others = [
            "owner",
            "dirty",
            "expiry:news",
            "idem:9:news:k",
            "member:x:y:z",
            "idem:4:newsk",
            "later:kind",
        ];
        for name in others {
            assert_eq!(KeyName::parse(name.as_bytes()), None, "{name}");
        }
        assert_eq!(KeyName::parse(b"meta:\xff"), None);
    }
}
