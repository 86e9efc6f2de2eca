//! Everything that is set, to tell what a later version of the file changes.

use std::fmt;

use serde_json::Value;

use super::raw::Raw;

/// The keys that make the list of shards: what changes of them is taken over by a running gateway.
const LIST: [&str; 5] = [
    "shards",
    "engine.redis.address",
    "engine.redis.user",
    "engine.redis.password",
    "engine.redis.db",
];

/// The value of every key, defaults included. Shows none of them: some are secrets.
#[derive(Clone, PartialEq)]
pub struct Settings(Value);

impl Settings {
    pub(super) fn of(raw: &Raw) -> Self {
        Self(serde_json::to_value(raw).expect("the configuration consists of what JSON has"))
    }

    /// The keys that have another value in `other`, but for those that make the list of shards. Lists count as a whole.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare(&self.0, &other.0, String::new(), &mut found);
        found.retain(|key| !LIST.contains(&key.as_str()));
        found
    }

    /// Whether shards on Redis are listed, in whichever way.
    #[must_use]
    pub fn lists_shards(&self) -> bool {
        let lists = ["/shards", "/engine/redis/address"].map(|key| self.0.pointer(key));
        let lists = lists.into_iter().flatten().filter_map(Value::as_array);
        lists.into_iter().any(|list| !list.is_empty())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(…)")
    }
}

fn compare(left: &Value, right: &Value, key: String, found: &mut Vec<String>) {
    match (left, right) {
        // Both were made from the same struct: the same keys in the same order.
        (Value::Object(left), Value::Object(right)) => {
            for (name, left) in left {
                let separator = if key.is_empty() { "" } else { "." };
                let right = right.get(name).unwrap_or(&Value::Null);
                compare(left, right, format!("{key}{separator}{name}"), found);
            }
        }
        _ if left != right => found.push(key),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_but_for_the_list_of_shards() {
        let before = Settings::of(&Raw::default());
        let mut raw = Raw::specimen();
        assert_eq!(
            before.differences(&Settings::of(&raw)),
            ["channel.namespaces"],
            "the list of shards is not named"
        );
        raw.log.level = "debug".to_owned();
        raw.client.token.hmac_secret_key = "hush".to_owned();
        let after = Settings::of(&raw);
        let mut differences = before.differences(&after);
        differences.sort();
        assert_eq!(
            differences,
            ["channel.namespaces", "client.token.hmac_secret_key", "log.level"]
        );
        assert_eq!(format!("{after:?}"), "Settings(…)");
        assert!(after.differences(&after).is_empty());
        assert!(after.lists_shards() && !before.lists_shards());
    }
}
