//! A shard as the topology knows it, and its part in the deployment.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{Generation, Incarnation};

/// Where a shard is and how to get in: `redis://…`, `redis+sentinel://…`, both with `rediss` for TLS, or `memory:` for one in the gateways' own process.
/// Shows neither user nor password. Empty: as each gateway is configured.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardUrl(String);

/// A shard as the topology knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// How gateways reach it, unless they are configured otherwise.
    #[serde(default, skip_serializing_if = "ShardUrl::is_empty")]
    pub url: ShardUrl,
    /// Where it is, without credentials: for people, and to notice that a name now means another server.
    pub address: String,
    /// Its share relative to the others'.
    pub weight: u32,
    /// Whether it keeps everything it acknowledged across a restart (`appendfsync always`).
    pub durable: bool,
    /// What may be placed on it.
    pub state: ShardState,
    /// The run that is trusted; `None` until the coordinator first reached it.
    pub incarnation: Option<Incarnation>,
    /// The generation at which that run was admitted. Connections are made anew when it changes.
    pub admitted: Generation,
}

/// A shard's part in the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// Holds partitions and may be given more.
    Active,
    /// Is being emptied, and stays listed once it is empty.
    Draining,
    /// Is being emptied, and is forgotten once it is empty.
    Leaving,
    /// Evicted. It owns nothing, no gateway keeps a connection to it, and it comes back through admission alone.
    Lost,
}

/// A shard as a configuration file, a DNS name or a person describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedShard {
    /// How gateways reach it.
    pub url: ShardUrl,
    /// Where it is, without credentials.
    pub address: String,
    /// Its share relative to the others'.
    pub weight: u32,
    /// Whether it keeps everything it acknowledged across a restart.
    pub durable: bool,
}

impl WantedShard {
    /// The shard as a topology lists it that has not reached it yet.
    #[must_use]
    pub fn entry(&self) -> ShardEntry {
        ShardEntry {
            url: self.url.clone(),
            address: self.address.clone(),
            weight: self.weight,
            durable: self.durable,
            state: ShardState::Active,
            incarnation: None,
            admitted: Generation::default(),
        }
    }

    /// Whether `entry` describes the same; how to get in is each gateway's own business.
    #[must_use]
    pub fn is(&self, entry: &ShardEntry) -> bool {
        self.address == entry.address && self.weight == entry.weight && self.durable == entry.durable
    }
}

impl ShardUrl {
    /// A shard within the gateways' own process.
    pub const MEMORY: &'static str = "memory:";

    /// The place `url`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The whole URL, secrets included.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether Sentinels may put a replica into its server's place.
    #[must_use]
    pub fn may_fail_over(&self) -> bool {
        let scheme = self.0.split("://").next();
        scheme.is_some_and(|scheme| scheme.ends_with("+sentinel"))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The URL without user and password, and without parameters, which may hold them as well.
impl fmt::Display for ShardUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Self::MEMORY {
            return f.write_str(Self::MEMORY);
        }
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return Ok(());
        };
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let place = place.split_once('?').map_or(place, |(place, _)| place);
        write!(f, "{scheme}://{place}")
    }
}

impl fmt::Debug for ShardUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
