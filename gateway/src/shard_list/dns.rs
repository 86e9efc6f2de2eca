//! What an answer of the DNS says about shards.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use campanile_shard_router::topology::ShardId;

use crate::config::{DnsOptions, RedisShard};

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A host and its port.
    Service {
        /// The host's name.
        target: String,
        /// The port.
        port: u16,
    },
    /// An address; the port is configured.
    Address {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
}

/// Why an answer is ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A list without shards is never what is meant.
    #[error("the answer has no shard in it")]
    Empty,
    /// One shard would hide the other.
    #[error("two shards would be called {0}")]
    Ambiguous(ShardId),
    /// The configured template makes no URL of what was found.
    #[error("{0:?} cannot be part of a URL")]
    Host(String),
}

/// The shards that an answer names.
///
/// # Errors
///
/// When it must be ignored as a whole: half a list is worse than the one of before.
pub fn shards(options: &DnsOptions, found: &[Found]) -> Result<BTreeMap<ShardId, RedisShard>, Unusable> {
    // A target of "." says that there is no such service.
    let usable = |found: &&Found| !matches!(found, Found::Service { target, .. } if bare(target).is_empty());
    let mut shards = BTreeMap::new();
    for found in found.iter().filter(usable).collect::<BTreeSet<_>>() {
        let shard = shard(options, found)?;
        match shards.entry(shard.id.clone()) {
            Entry::Vacant(place) => {
                place.insert(shard);
            }
            // Another host of the same shard: which of them to go to is not said by the URL.
            Entry::Occupied(known) if known.get().url == shard.url => {}
            Entry::Occupied(known) => return Err(Unusable::Ambiguous(known.key().clone())),
        }
    }
    if shards.is_empty() {
        return Err(Unusable::Empty);
    }
    Ok(shards)
}

fn shard(options: &DnsOptions, found: &Found) -> Result<RedisShard, Unusable> {
    let (name, host, port) = match found {
        Found::Service { target, port } => {
            let host = bare(target).to_ascii_lowercase();
            let label = host.split('.').next().unwrap_or_default();
            let name = match options.replica_mark.as_str() {
                "" => label.to_owned(),
                mark => label.replacen(mark, "", 1),
            };
            (name, host, *port)
        }
        Found::Address { ip, port } => {
            let name = format!("{ip}-{port}").replace(['.', ':'], "-");
            let host = match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            (name, host, *port)
        }
    };
    let url = options
        .url
        .fill(&name, &host, port)
        .map_err(|_| Unusable::Host(host.clone()))?;
    Ok(RedisShard {
        id: ShardId::new(&name),
        url,
        ca_file: None,
        weight: 1,
        durable: options.durable,
    })
}

/// The name without the dot of the root.
fn bare(name: &str) -> &str {
    name.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{RecordKind, UrlTemplate};

    fn options() -> DnsOptions {
        DnsOptions {
            name: "_redis._tcp.shards".to_owned(),
            kind: RecordKind::Service,
            url: UrlTemplate::parse("redis://app:hush@{host}:{port}").unwrap(),
            replica_mark: String::new(),
            durable: true,
            interval: Duration::from_secs(10),
            gone_after: Duration::from_secs(60),
            server: None,
        }
    }

    fn service(target: &str, port: u16) -> Found {
        let target = target.to_owned();
        Found::Service { target, port }
    }

    fn address(ip: &str) -> Found {
        let ip = ip.parse().unwrap();
        Found::Address { ip, port: 6379 }
    }

    fn urls(found: &[Found]) -> Vec<(String, String)> {
        let shards = shards(&options(), found).unwrap();
        let shown = shards.values();
        shown
            .map(|shard| (shard.id.to_string(), shard.url.expose().to_owned()))
            .collect()
    }

    #[test]
    fn a_service_is_named_by_its_host_and_an_address_by_itself() {
        let found = [
            service("redis-1.shards.default.svc.cluster.local.", 6380),
            service("Redis-0.shards", 6379),
            // Said twice is said once.
            service("Redis-0.shards", 6379),
        ];
        let expected = [
            ("redis-0", "redis://app:hush@redis-0.shards:6379"),
            (
                "redis-1",
                "redis://app:hush@redis-1.shards.default.svc.cluster.local:6380",
            ),
        ];
        assert_eq!(urls(&found), expected.map(|(id, url)| (id.into(), url.into())));
        let expected = [
            ("10-0-0-7-6379", "redis://app:hush@10.0.0.7:6379"),
            ("fd00--7-6379", "redis://app:hush@[fd00::7]:6379"),
        ];
        let found = [address("10.0.0.7"), address("fd00::7")];
        assert_eq!(urls(&found), expected.map(|(id, url)| (id.into(), url.into())));
        assert!(
            shards(&options(), &found)
                .unwrap()
                .values()
                .all(|shard| shard.durable)
        );
    }

    #[test]
    fn a_shard_behind_sentinels_is_there_as_long_as_one_of_its_hosts_is() {
        let options = DnsOptions {
            url: UrlTemplate::parse("redis+sentinel://sentinel/{name}").unwrap(),
            replica_mark: "-replica".to_owned(),
            ..options()
        };
        let urls = |targets: &[&str]| -> Vec<String> {
            let found: Vec<_> = targets.iter().map(|target| service(target, 6379)).collect();
            let shards = shards(&options, &found).unwrap();
            let shown = shards.values().map(|shard| shard.url.expose().to_owned());
            shown.collect()
        };
        let (first, second) = (
            "redis+sentinel://sentinel/shard-0",
            "redis+sentinel://sentinel/shard-1",
        );
        let all = [
            "shard-0.s.",
            "shard-1.s.",
            "shard-replica-0.s.",
            "shard-replica-1.s.",
        ];
        assert_eq!(urls(&all), [first, second]);
        assert_eq!(urls(&all[..3]), [first, second]);
        assert_eq!(urls(&all[1..3]), [first, second]);
        assert_eq!(urls(&all[2..3]), [first]);
    }

    #[test]
    fn an_answer_that_cannot_be_meant_is_ignored_as_a_whole() {
        assert_eq!(shards(&options(), &[]), Err(Unusable::Empty));
        assert_eq!(shards(&options(), &[service(".", 0)]), Err(Unusable::Empty));
        let twice = [service("a.one", 1), service("b.one", 1), service("a.two", 1)];
        assert_eq!(
            shards(&options(), &twice),
            Err(Unusable::Ambiguous(ShardId::new("a")))
        );
        let strange = [service("a", 1), service("b c:d", 1)];
        assert!(matches!(shards(&options(), &strange), Err(Unusable::Host(_))));
    }
}
