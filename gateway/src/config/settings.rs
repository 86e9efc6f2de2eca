//! Everything that is set, to tell what a later version of the file changes.

use std::fmt;

use serde_json::Value;

use super::raw::Raw;

/// The keys, or sections, that a running gateway takes over from a new version of its file.
const RELOADED: [&str; 7] = [
    "channel",
    "client.allowed_origins",
    "client.subscription_token",
    "client.token",
    "http_api.insecure",
    "http_api.key",
    "log.level",
];

/// The keys that make the list of shards, which is taken over as well, and compared by what they come to.
const LIST: [&str; 10] = [
    "shards",
    "engine.redis.address",
    "engine.redis.user",
    "engine.redis.password",
    "engine.redis.db",
    "engine.redis.sentinel_address",
    "engine.redis.sentinel_master_name",
    "engine.redis.sentinel_user",
    "engine.redis.sentinel_password",
    "engine.redis.tls.enabled",
];

/// The value of every key, defaults included. Shows none of them: some are secrets.
#[derive(Clone, PartialEq)]
pub struct Settings(Value);

/// The keys that have another value in another version. Lists count as a whole; those that make the list of shards are not named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Those that a running gateway takes over.
    pub reloaded: Vec<String>,
    /// Those that count from the next start on.
    pub restart: Vec<String>,
}

impl Settings {
    pub(super) fn of(raw: &Raw) -> Self {
        Self(serde_json::to_value(raw).expect("the configuration consists of what JSON has"))
    }

    /// What `other` says otherwise.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Differences {
        let mut found = Vec::new();
        compare(&self.0, &other.0, String::new(), &mut found);
        found.retain(|key| !LIST.contains(&key.as_str()));
        found.sort();
        let (reloaded, restart) = found.into_iter().partition(|key| is_reloaded(key));
        Differences { reloaded, restart }
    }

    /// Whether shards on Redis are listed, in whichever way.
    #[must_use]
    pub fn lists_shards(&self) -> bool {
        let lists = [
            "/shards",
            "/engine/redis/address",
            "/engine/redis/sentinel_address",
        ];
        let lists = lists.map(|key| self.0.pointer(key));
        let lists = lists.into_iter().flatten().filter_map(Value::as_array);
        lists.into_iter().any(|list| !list.is_empty())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(…)")
    }
}

fn is_reloaded(key: &str) -> bool {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('.');
    RELOADED
        .iter()
        .any(|section| key.strip_prefix(section).is_some_and(is_below))
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
        let specimen = Differences {
            reloaded: vec!["channel.namespaces".to_owned()],
            restart: vec![],
        };
        assert_eq!(before.differences(&Settings::of(&raw)), specimen, "no shards");
        raw.log.level = "debug".to_owned();
        raw.log.format = "json".to_owned();
        raw.client.token.hmac_secret_key = "hush".to_owned();
        raw.client.channel_limit = 5;
        let after = Settings::of(&raw);
        let differences = before.differences(&after);
        assert_eq!(
            differences.reloaded,
            ["channel.namespaces", "client.token.hmac_secret_key", "log.level"]
        );
        assert_eq!(differences.restart, ["client.channel_limit", "log.format"]);
        assert_eq!(format!("{after:?}"), "Settings(…)");
        assert_eq!(after.differences(&after), Differences::default());
        assert!(after.lists_shards() && !before.lists_shards());
    }

    #[test]
    fn whatever_is_said_to_be_taken_over_is_a_key() {
        let keys = serde_json::to_value(Raw::default()).unwrap();
        for key in RELOADED {
            let path = format!("/{}", key.replace('.', "/"));
            assert!(keys.pointer(&path).is_some(), "{key}");
        }
    }
}
