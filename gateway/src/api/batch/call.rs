//! The calls of a batch, as they come.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{Method, params};

/// Calls of one batch at most: the shortest that there are, and their answers, would take a hundred times the memory of the request.
const MAX_CALLS: usize = 10_000;

/// The calls of a batch. They are counted while they are read, so that none is kept of too many.
#[derive(Debug)]
pub(in crate::api) enum Calls {
    /// All of them.
    All(Vec<Call>),
    /// There are more than may be made.
    TooMany,
}

/// One call.
#[derive(Debug)]
pub(in crate::api) enum Call {
    /// A method's name and its parameters.
    One {
        /// The name.
        name: String,
        /// The parameters as they came.
        params: Box<RawValue>,
    },
    /// No name, or several.
    Senseless,
}

impl Call {
    /// The channel that this publishes to, if it does nothing else.
    pub(super) fn published_to(&self) -> Option<String> {
        match self {
            Self::One { name, params } if name == Method::Publish.name() => {
                let params = serde_json::from_str::<params::Channel>(params.get());
                params.ok().map(|params| params.channel)
            }
            Self::One { .. } | Self::Senseless => None,
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CallsVisitor)
    }
}

impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CallVisitor)
    }
}

struct CallsVisitor;

impl<'de> Visitor<'de> for CallsVisitor {
    type Value = Calls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of calls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Calls, A::Error> {
        let mut calls = Vec::new();
        while calls.len() < MAX_CALLS {
            match seq.next_element()? {
                Some(call) => calls.push(call),
                None => return Ok(Calls::All(calls)),
            }
        }
        if seq.next_element::<IgnoredAny>()?.is_none() {
            return Ok(Calls::All(calls));
        }
        drop(calls);
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Calls::TooMany)
    }
}

struct CallVisitor;

impl<'de> Visitor<'de> for CallVisitor {
    type Value = Call;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a method's name and its parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Call, A::Error> {
        let Some((name, params)) = map.next_entry()? else {
            return Ok(Call::Senseless);
        };
        let mut is_one = true;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            is_one = false;
        }
        Ok(if is_one {
            Call::One { name, params }
        } else {
            Call::Senseless
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(list: &str) -> serde_json::Result<Calls> {
        serde_json::from_str(list)
    }

    #[test]
    fn of_too_many_calls_none_is_made_out() {
        let list = |count: usize, last: &str| format!("[{}{last}]", r#"{"a":0},"#.repeat(count));
        let all = calls(&list(MAX_CALLS - 1, r#"{"a":0}"#)).unwrap();
        assert!(matches!(all, Calls::All(calls) if calls.len() == MAX_CALLS));
        // What comes after as many as may be is not taken for a call any more.
        for last in [r#"{"a":0}"#, "7", r#"[{"a":0}]"#] {
            let many = calls(&list(MAX_CALLS, last)).unwrap();
            assert!(matches!(many, Calls::TooMany), "{last}");
        }
        assert!(calls(&list(MAX_CALLS, r#"{"a":"#)).is_err(), "it is no JSON");
    }

    #[test]
    fn a_call_has_one_name() {
        let one = |text: &str| match calls(&format!("[{text}]")).unwrap() {
            Calls::All(calls) => calls.into_iter().next().unwrap(),
            Calls::TooMany => panic!("there is one"),
        };
        for senseless in ["{}", r#"{"a": 0, "b": {}}"#, r#"{"publish": {}, "publish": {}}"#] {
            assert!(matches!(one(senseless), Call::Senseless), "{senseless}");
        }
        let publish = one(r#"{"publish": {"channel": "c", "data": [1, 2]}}"#);
        assert_eq!(publish.published_to().as_deref(), Some("c"));
        let read = one(r#"{"history": {"channel": "c"}}"#);
        assert_eq!(read.published_to(), None);
        assert!(calls("[7]").is_err() && calls("{}").is_err());
    }
}
