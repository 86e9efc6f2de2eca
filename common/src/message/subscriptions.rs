//! The server-side subscriptions of a connection.

use std::fmt;

use serde::Serializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::SubscribeResult;
use super::field::{Field, Nested};

/// One entry of a map from channels to subscriptions.
///
/// In Protobuf a map is nothing but repeated entries, and it is spelled out here because of how prost writes one: without
/// the values that are defaults. A subscription without a stream is a default, and the JavaScript SDK does not survive an
/// entry without a value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscriptionEntry {
    /// The channel.
    #[prost(string, tag = "1")]
    pub channel: String,
    /// The subscription; `None` means the default one.
    #[prost(message, optional, tag = "2")]
    pub result: Option<SubscribeResult>,
}

impl SubscriptionEntry {
    /// The entry of `channel`.
    #[must_use]
    pub fn new(channel: impl Into<String>, result: SubscribeResult) -> Self {
        Self {
            channel: channel.into(),
            result: Some(result),
        }
    }
}

/// In the self-describing codecs it is a map.
impl Field for Vec<SubscriptionEntry> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let default = SubscribeResult::default();
        serializer.collect_map(
            self.iter()
                .map(|entry| (&entry.channel, entry.result.as_ref().unwrap_or(&default))),
        )
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<SubscriptionEntry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((channel, result)) = map.next_entry::<String, Nested<SubscribeResult>>()? {
            entries.push(SubscriptionEntry::new(channel, result.0));
        }
        Ok(entries)
    }
}
