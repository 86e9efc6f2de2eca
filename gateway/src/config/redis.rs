//! Redis servers as people write them: URLs, and the certificates of encrypted connections.

use std::fmt;

use campanile_shard_router::redis::{Pem, PemIdentity, RedisPlace, RedisTls};

use super::clients::some_text;
use super::raw::Raw;
use super::report::Report;
use super::tls::PemSource;

/// Where a Redis is and how to get in. Shows neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    text: String,
    place: RedisPlace,
}

/// Why a text is not the URL of a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the URL of a Redis; write redis://user:password@host:6379/0, redis+sentinel://user:password@host:26379,host2:26379/mymaster \
     for Sentinel, or rediss for redis in either for TLS"
)]
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
    /// Whether connections are encrypted whatever the address says.
    pub tls: bool,
}

/// Sentinels in Centrifugo's words.
#[derive(Clone, Copy, Debug)]
pub struct SentinelNames<'a> {
    /// Hosts and ports.
    pub addresses: &'a [String],
    /// What they call the server.
    pub service: &'a str,
    /// The user on them.
    pub user: &'a str,
    /// The password on them.
    pub password: &'a str,
}

impl RedisUrl {
    /// Takes a URL.
    pub fn parse(text: &str) -> Result<Self, NotRedis> {
        let place = RedisPlace::parse(text).map_err(|_| NotRedis)?;
        Ok(Self {
            text: text.to_owned(),
            place,
        })
    }

    /// Takes a URL or `host:port`, and adds what it leaves out.
    pub fn complete(text: &str, defaults: Defaults<'_>) -> Result<Self, NotRedis> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("redis", text));
        let scheme = match scheme {
            "redis" if defaults.tls => "rediss",
            scheme => scheme,
        };
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

    /// Makes a URL of Sentinels and how to get in at the server that they name.
    pub fn of_sentinels(names: SentinelNames<'_>, defaults: Defaults<'_>) -> Result<Self, NotRedis> {
        let scheme = if defaults.tls {
            "rediss+sentinel"
        } else {
            "redis+sentinel"
        };
        let (hosts, service) = (names.addresses.join(","), encoded(names.service));
        let (user, password) = (encoded(defaults.user), encoded(defaults.password));
        let (own_user, own_password) = (encoded(names.user), encoded(names.password));
        Self::parse(&format!(
            "{scheme}://{user}:{password}@{hosts}/{service}/{}?sentinel_user={own_user}&sentinel_password={own_password}",
            defaults.db
        ))
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.place.has_tls()
    }

    /// Whether Sentinels say which server it is, so that a replica may take its place.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        self.place.has_sentinels()
    }

    /// Hosts and ports, for people.
    #[must_use]
    pub fn address(&self) -> String {
        self.place.address()
    }

    /// The names or addresses of its server, or of its Sentinels.
    #[must_use]
    pub fn hosts(&self) -> Vec<&str> {
        self.place.host_names().collect()
    }

    /// The whole URL, secrets included.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// The URL without users and passwords.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.place, f)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is said of a Redis that may fail over and is declared to lose nothing.
pub const NOT_DURABLE: &str = "a shard behind Sentinel is not durable, whatever its servers write to disk: the \
     replica that takes over may lack the last publications; leave it out";

/// How connections to Redis are encrypted: `redis.tls`, else what Centrifugo has for it. Nothing is read here.
pub(super) fn tls(raw: &Raw, report: &mut Report) -> RedisTls {
    let (own, engine) = (&raw.redis.tls, &raw.engine.redis.tls);
    let first = |own: &str, other: &str| some_text(own).or_else(|| some_text(other));
    let pem = |own: &str, other: &str| {
        first(own, other).map(|text| match PemSource::of_value(&text) {
            PemSource::File(path) => Pem::File(path),
            PemSource::Text(text) => Pem::Text(text),
        })
    };
    let certificate = pem(&own.cert_pem, &engine.cert_pem);
    let key = pem(&own.key_pem, &engine.key_pem);
    let missing = match (&certificate, &key) {
        (Some(_), None) => Some("key_pem"),
        (None, Some(_)) => Some("cert_pem"),
        _ => None,
    };
    if let Some(missing) = missing {
        report.error(format!(
            "redis.tls.{missing}: not set; a client's certificate needs both cert_pem and key_pem"
        ));
    }
    RedisTls {
        server_ca: pem(&own.server_ca_pem, &engine.server_ca_pem),
        identity: certificate
            .zip(key)
            .map(|(certificate, key)| PemIdentity { certificate, key }),
        server_name: first(&own.server_name, &engine.server_name),
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
            tls: false,
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
    fn sentinels_in_centrifugos_words_become_a_url() {
        let addresses = ["10.0.0.1:26379".to_owned(), "s2".to_owned()];
        let names = SentinelNames {
            addresses: &addresses,
            service: "my master",
            user: "",
            password: "p&?",
        };
        let defaults = Defaults {
            password: "hush",
            tls: true,
            ..Defaults::default()
        };
        let url = RedisUrl::of_sentinels(names, defaults).unwrap();
        assert_eq!(
            url.expose(),
            "rediss+sentinel://:hush@10.0.0.1:26379,s2/my%20master/0?sentinel_user=&sentinel_password=p%26%3F"
        );
        assert!(RedisUrl::of_sentinels(SentinelNames { service: "", ..names }, defaults).is_err());
        let url = RedisUrl::complete("host:1", defaults).unwrap();
        assert_eq!(url.expose(), "rediss://:hush@host:1");
    }

    #[test]
    fn secrets_do_not_show() {
        let url = RedisUrl::parse("redis://user:hush@host:1/2").unwrap();
        assert_eq!(format!("{url} {url:?}"), "redis://host:1/2 redis://host:1/2");
        let url = "rediss+sentinel://user:hush@a,b:1/main?sentinel_password=psst";
        let url = RedisUrl::parse(url).unwrap();
        assert_eq!(url.to_string(), "rediss+sentinel://a:26379,b:1/main");
        assert!(url.has_tls() && url.has_sentinels());
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let mut report = Report::default();
        let mut raw = Raw::default();
        raw.engine.redis.tls.cert_pem = "/etc/tls.crt".to_owned();
        assert_eq!(tls(&raw, &mut report), RedisTls::default());
        assert!(report.has_errors());
        raw.redis.tls.key_pem = "/etc/tls.key".to_owned();
        assert!(tls(&raw, &mut Report::default()).identity.is_some());
    }

    #[test]
    fn its_hosts_are_known() {
        for (url, hosts) in [
            ("redis://user:p,w@10.0.0.1:6379/2", &["10.0.0.1"][..]),
            ("rediss://[::1]:6379", &["::1"]),
            ("redis://store", &["store"]),
            ("redis+sentinel://a,b:1/main", &["a", "b"]),
        ] {
            assert_eq!(RedisUrl::parse(url).unwrap().hosts(), hosts, "{url}");
        }
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
