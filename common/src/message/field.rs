//! How the fields of messages appear in the self-describing codecs, JSON and MessagePack.
//!
//! `#[serde(with = "campanile_common::message::field")]` gives a field of any struct the same treatment.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::payload;

/// A type that a field of a message can have.
pub trait Field: Sized {
    /// Whether the field is left out when it is written.
    fn is_absent(&self) -> bool;

    /// Writes the value of a field that is not left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads the value of a field that is there. Null is the default value.
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// [`Field::is_absent`] in the form that serde's attribute takes.
pub fn is_absent<T: Field>(field: &T) -> bool {
    field.is_absent()
}

/// [`Field::serialize`] in the form that serde's attribute takes.
pub fn serialize<T: Field, S: Serializer>(field: &T, serializer: S) -> Result<S::Ok, S::Error> {
    field.serialize(serializer)
}

/// [`Field::deserialize`] in the form that serde's attribute takes.
pub fn deserialize<'de, T: Field, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

/// A message: it is read from an object only. What serde derives would take an array of values for one too.
pub trait Object: Serialize + for<'de> Deserialize<'de> {}

impl<T: Object> Object for Box<T> {}

/// Reads a message from an object.
pub(crate) fn object<'de, T: Object, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A message within a list, a map or an option, where serde asks for a type instead of calling a function.
pub(super) struct Nested<T>(pub(super) T);

impl<'de, T: Object> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Nested)
    }
}

impl<T: Object> Field for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nested: Option<Nested<T>> = Deserialize::deserialize(deserializer)?;
        Ok(nested.map(|nested| nested.0))
    }
}

impl<T: Object> Field for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nested: Option<Vec<Nested<T>>> = Deserialize::deserialize(deserializer)?;
        Ok(nested
            .unwrap_or_default()
            .into_iter()
            .map(|nested| nested.0)
            .collect())
    }
}

impl<T: Object> Field for BTreeMap<String, T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nested: Option<BTreeMap<String, Nested<T>>> = Deserialize::deserialize(deserializer)?;
        Ok(nested
            .unwrap_or_default()
            .into_iter()
            .map(|(key, nested)| (key, nested.0))
            .collect())
    }
}

impl Field for Bytes {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        payload::serialize(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        payload::deserialize(deserializer)
    }
}

/// Fields that serde handles by itself, but for null.
macro_rules! plain_fields {
    ($($type:ty: $absent:expr,)*) => { $(
        impl Field for $type {
            fn is_absent(&self) -> bool {
                let absent: fn(&Self) -> bool = $absent;
                absent(self)
            }

            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Serialize::serialize(self, serializer)
            }

            fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value: Option<Self> = Deserialize::deserialize(deserializer)?;
                Ok(value.unwrap_or_default())
            }
        }
    )* };
}

plain_fields! {
    bool: |value| !value,
    u32: |value| *value == 0,
    u64: |value| *value == 0,
    i32: |value| *value == 0,
    i64: |value| *value == 0,
    String: String::is_empty,
    Vec<String>: Vec::is_empty,
    BTreeMap<String, String>: BTreeMap::is_empty,
}
