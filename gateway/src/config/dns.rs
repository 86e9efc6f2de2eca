//! The shards that a name in the DNS lists: validated.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::raw;
use super::redis::{NOT_DURABLE, NotRedis, RedisUrl};
use super::report::Report;

/// The name is not asked for more often than this, whatever is configured: every answer costs the name servers.
pub const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// Where the list of shards comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// The name to ask for.
    pub name: String,
    /// What to ask for.
    pub kind: RecordKind,
    /// What makes URLs of the answers.
    pub url: UrlTemplate,
    /// What the names of replicas' hosts have in addition to that of their shard; empty: nothing.
    pub replica_mark: String,
    /// Whether the shards keep everything that they acknowledged.
    pub durable: bool,
    /// How often to ask.
    pub interval: Duration,
    /// How long a shard may be missing from the answers before it counts as gone.
    pub gone_after: Duration,
    /// Whom to ask; `None`: the name servers of the system.
    pub server: Option<SocketAddr>,
}

/// What the DNS is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// SRV records, which tell hosts and ports.
    Service,
    /// Addresses, all with this port.
    Addresses(u16),
}

/// The URL of a Redis with `{host}` and `{port}` in the place of the host and the port, `{name}` in that of the shard's name,
/// which Sentinels may have for their service.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlTemplate(String);

impl UrlTemplate {
    /// Takes a text in which `{host}` or `{name}` occurs, and which makes URLs.
    pub fn parse(text: &str) -> Result<Self, NotRedis> {
        let template = Self(text.to_owned());
        template.specimen()?;
        if text.contains("{host}") || text.contains("{name}") {
            Ok(template)
        } else {
            Err(NotRedis)
        }
    }

    /// The URL of the shard `name` at this host and port.
    pub fn fill(&self, name: &str, host: &str, port: u16) -> Result<RedisUrl, NotRedis> {
        let url = self.0.replace("{host}", host).replace("{name}", name);
        RedisUrl::parse(&url.replace("{port}", &port.to_string()))
    }

    /// Whether each host has a URL of its own.
    fn tells_hosts_apart(&self) -> bool {
        ["{host}", "{port}"].iter().any(|part| self.0.contains(part))
    }

    fn specimen(&self) -> Result<RedisUrl, NotRedis> {
        self.fill("name", "host", 6379)
    }
}

/// Without what it fills in, which may be a password.
impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.specimen() {
            Ok(url) => write!(f, "UrlTemplate({url})"),
            Err(NotRedis) => f.write_str("UrlTemplate(…)"),
        }
    }
}

/// The options; `None`, with an error: there are none to go by.
pub(super) fn options(raw: &raw::Dns, report: &mut Report) -> Option<DnsOptions> {
    if raw.name.is_empty() {
        report.error("cluster.dns.name: not set; write the name of the headless service");
    }
    if raw.interval.get() < LEAST_INTERVAL {
        report.warning(format!(
            "cluster.dns.interval: {} is too often; 1s is used",
            raw.interval
        ));
    }
    let kind = kind(raw, report);
    let url = UrlTemplate::parse(&raw.url);
    let url = url.inspect_err(|_| {
        report.error(
            "cluster.dns.url: makes no URL of a Redis; write redis://user:password@{host}:{port}, or rediss:// for TLS",
        );
    });
    let has_sentinels = |url: &UrlTemplate| url.specimen().is_ok_and(|url| url.has_sentinels());
    if raw.durable && url.as_ref().is_ok_and(has_sentinels) {
        report.error(format!("cluster.dns.durable: {NOT_DURABLE}"));
    }
    if !raw.replica_mark.is_empty() && url.as_ref().is_ok_and(UrlTemplate::tells_hosts_apart) {
        report.error(
            "cluster.dns.replica_mark: several hosts are one shard only behind Sentinels; write {name} instead of {host} and \
             {port} in cluster.dns.url, or leave this empty",
        );
    }
    Some(DnsOptions {
        name: raw.name.clone(),
        kind: kind?,
        url: url.ok()?,
        replica_mark: raw.replica_mark.clone(),
        durable: raw.durable,
        interval: raw.interval.get().max(LEAST_INTERVAL),
        gone_after: raw.gone_after.get(),
        server: server(&raw.server, report),
    })
}

fn kind(raw: &raw::Dns, report: &mut Report) -> Option<RecordKind> {
    match raw.kind.as_str() {
        "srv" => Some(RecordKind::Service),
        "a" if raw.port != 0 => Some(RecordKind::Addresses(raw.port)),
        "a" => {
            report.error("cluster.dns.port: 0 is no port; write that of the shards, such as 6379");
            None
        }
        other => {
            report.error(format!("cluster.dns.kind: {other:?} is none; write srv or a"));
            None
        }
    }
}

fn server(text: &str, report: &mut Report) -> Option<SocketAddr> {
    if text.is_empty() {
        return None;
    }
    let address = text.parse::<SocketAddr>();
    let address = address.or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)));
    address
        .inspect_err(|_| {
            report.error(format!(
                "cluster.dns.server: {text:?} is not an IP address; write one, with a port if it is not 53, or leave it \
                 empty to ask the system's name servers"
            ));
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_makes_the_urls_of_hosts() {
        let template = UrlTemplate::parse("rediss://app:hush@{host}:{port}/2").unwrap();
        let url = template.fill("shard-0", "shard-0.shards", 6380).unwrap();
        assert_eq!(url.expose(), "rediss://app:hush@shard-0.shards:6380/2");
        let template = UrlTemplate::parse("redis+sentinel://sentinel/{name}").unwrap();
        let url = template.fill("shard-0", "shard-0.shards", 6380).unwrap();
        assert_eq!(url.expose(), "redis+sentinel://sentinel/shard-0");
        let template = UrlTemplate::parse("rediss://app:hush@{host}:{port}/2").unwrap();
        assert!(!format!("{template:?}").contains("hush"));
        for text in [
            "redis://host:{port}",
            "{host}:{port}",
            "redis://{host}:{door}",
            "",
        ] {
            assert_eq!(UrlTemplate::parse(text), Err(NotRedis), "{text}");
        }
    }

    #[test]
    fn a_name_server_may_have_a_port() {
        let mut report = Report::default();
        let mut read = |text| server(text, &mut report).map(|address| address.to_string());
        assert_eq!(read("10.0.0.1").as_deref(), Some("10.0.0.1:53"));
        assert_eq!(read("127.0.0.1:8600").as_deref(), Some("127.0.0.1:8600"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:53"));
        assert_eq!(read(""), None);
        assert_eq!(read("dns.example"), None);
        assert_eq!(report.findings().len(), 1);
    }
}
