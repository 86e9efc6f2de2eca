//! URLs of Redis servers as people write them.

use std::fmt;

use campanile_shard_router::redis::RedisShardConfig;

/// Where a Redis is and how to get in. Shows neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

/// Why a text is not the URL of a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of a Redis; write redis://user:password@host:6379/0, or rediss:// for TLS")]
pub struct NotRedis;

/// What an address may leave out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults<'a> {
    /// The user.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// The database.
    pub db: u32,
}

impl RedisUrl {
    /// Takes a URL.
    pub fn parse(text: &str) -> Result<Self, NotRedis> {
        let (scheme, rest) = text.split_once("://").ok_or(NotRedis)?;
        let host = rest.rsplit('@').next().unwrap_or_default();
        let known = matches!(scheme, "redis" | "rediss");
        let named = !host.is_empty() && !host.starts_with([':', '/', '?']);
        // The client's own judgement on the rest: the port, the database.
        if known && named && RedisShardConfig::new(text).address().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotRedis)
        }
    }

    /// Takes a URL or `host:port`, and adds what it leaves out.
    pub fn complete(text: &str, defaults: Defaults<'_>) -> Result<Self, NotRedis> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("redis", text));
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let credentials = match (rest.rsplit_once('@'), defaults.user, defaults.password) {
            (Some((own, _)), _, _) => format!("{own}@"),
            (None, "", "") => String::new(),
            (None, user, password) => format!("{}:{}@", encoded(user), encoded(password)),
        };
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let place = match place.trim_end_matches('/') {
            bare if !bare.contains('/') && defaults.db != 0 => format!("{bare}/{}", defaults.db),
            whole => whole.to_owned(),
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self::parse(&format!("{scheme}://{credentials}{place}{query}"))
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.0.starts_with("rediss://")
    }

    /// The names or addresses of its servers: one, or several with commas between them.
    #[must_use]
    pub fn hosts(&self) -> Vec<&str> {
        let (_, rest) = self.0.split_once("://").unwrap_or_default();
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let servers = place.split(['/', '?']).next().unwrap_or_default();
        servers.split(',').map(without_port).collect()
    }

    /// The whole URL, secrets included.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The URL without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        write!(f, "{scheme}://{place}")
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The host of `host:port`, of `[::1]:port`, or of either without a port.
fn without_port(server: &str) -> &str {
    match server.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => server.split(':').next().unwrap_or_default(),
    }
}

/// Percent-encoded, but for what may stand in a URL's credentials as it is.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_where_it_says_nothing() {
        let defaults = Defaults {
            user: "app",
            password: "p@ss/word",
            db: 3,
        };
        let complete = |text| RedisUrl::complete(text, defaults).map(|url| url.expose().to_owned());
        assert_eq!(
            complete("10.0.0.1:6379").unwrap(),
            "redis://app:p%40ss%2Fword@10.0.0.1:6379/3"
        );
        assert_eq!(
            complete("rediss://own:secret@redis:6380/7").unwrap(),
            "rediss://own:secret@redis:6380/7"
        );
        assert_eq!(
            RedisUrl::complete("redis://localhost:6379/", Defaults::default())
                .unwrap()
                .expose(),
            "redis://localhost:6379"
        );
    }

    #[test]
    fn secrets_do_not_show() {
        let url = RedisUrl::parse("redis://user:hush@host:1/2").unwrap();
        assert_eq!(format!("{url} {url:?}"), "redis://host:1/2 redis://host:1/2");
    }

    #[test]
    fn its_hosts_are_known() {
        for (url, hosts) in [
            ("redis://user:p,w@10.0.0.1:6379/2", &["10.0.0.1"][..]),
            ("rediss://[::1]:6379?x=1", &["::1"]),
            ("redis://store", &["store"]),
        ] {
            assert_eq!(RedisUrl::parse(url).unwrap().hosts(), hosts, "{url}");
        }
        assert_eq!(without_port("b:1"), "b");
    }

    #[test]
    fn what_is_no_redis_is_refused() {
        for text in [
            "",
            "host:6379",
            "http://host",
            "redis://",
            "redis://user:pw@",
            "redis://:6379",
            "redis://host:port",
            "redis://host:6379/first",
        ] {
            assert_eq!(RedisUrl::parse(text), Err(NotRedis), "{text}");
        }
    }
}
