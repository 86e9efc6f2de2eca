//! Making shards, for those that are configured here and for those that only the topology knows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::config::{RedisConfigError, RedisShardConfig};
use super::connection::Connector;
use super::shard::RedisShard;
use super::tls::RedisTls;
use crate::shard::{Shard, ShardEvents, ShardFactory, ShardOptions};
use crate::topology::{ShardId, ShardUrl};

/// What URLs begin with whose connections are encrypted.
const TLS: [&str; 2] = ["rediss://", "rediss+sentinel://"];

/// Makes [`RedisShard`]s.
pub struct RedisFactory {
    /// The servers that this gateway was told of. Those that are open share their connectors with this.
    configured: Mutex<BTreeMap<ShardId, Arc<Connector>>>,
    /// Begins the keys of servers that are not configured here.
    prefix: String,
    /// Whom to believe about those.
    ca_file: Option<PathBuf>,
    tls: RedisTls,
    options: ShardOptions,
}

impl RedisFactory {
    /// Checks every shard's configuration; connects to none. Shards that only the topology knows are reached with its
    /// URL, the same `prefix`, and the certificates that browsers trust.
    pub fn new(
        shards: impl IntoIterator<Item = (ShardId, RedisShardConfig)>,
        prefix: &str,
        options: ShardOptions,
    ) -> Result<Self, RedisConfigError> {
        let factory = Self {
            configured: Mutex::default(),
            prefix: prefix.to_owned(),
            ca_file: None,
            tls: RedisTls::default(),
            options,
        };
        factory.configure(shards)?;
        Ok(factory)
    }

    /// Believes the certificates in `ca_file` about shards that only the topology knows.
    #[must_use]
    pub fn with_ca_file(self, ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, ..self }
    }

    /// Reaches shards that only the topology knows with these certificates.
    #[must_use]
    pub fn with_tls(self, tls: RedisTls) -> Self {
        Self { tls, ..self }
    }

    /// Goes by another configuration from now on, which is checked first. What is connected stays; what connects from now
    /// on, shards that are open included, does it in the new way.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used. Then nothing is changed.
    pub fn configure(
        &self,
        shards: impl IntoIterator<Item = (ShardId, RedisShardConfig)>,
    ) -> Result<(), RedisConfigError> {
        let timeout = self.options.command_timeout;
        let next: BTreeMap<_, _> = shards
            .into_iter()
            .map(|(id, config)| Ok((id, Arc::new(Connector::new(&config, timeout)?))))
            .collect::<Result<_, RedisConfigError>>()?;
        let mut configured = self.configured.lock();
        let mut before = std::mem::take(&mut *configured);
        let merged = next.into_iter().map(|(id, new)| match before.remove(&id) {
            Some(known) => {
                known.follow(&new);
                (id, known)
            }
            None => (id, new),
        });
        *configured = merged.collect();
        Ok(())
    }

    /// How to connect to a shard that is not configured here.
    fn connector(&self, url: &ShardUrl) -> Result<Connector, String> {
        if url.is_empty() {
            return Err("this gateway is not configured to reach it, and the topology has no URL".to_owned());
        }
        let encrypted = TLS.iter().any(|scheme| url.expose().starts_with(scheme));
        let config = RedisShardConfig {
            prefix: self.prefix.clone(),
            ca_file: self.ca_file.clone().filter(|_| encrypted),
            tls: self.tls.clone(),
            ..RedisShardConfig::new(url.expose())
        };
        Connector::new(&config, self.options.command_timeout).map_err(|error| error.to_string())
    }
}

impl ShardFactory for RedisFactory {
    fn open(
        &self,
        shard: &ShardId,
        url: &ShardUrl,
        events: Arc<dyn ShardEvents>,
    ) -> Result<Arc<dyn Shard>, String> {
        let configured = self.configured.lock().get(shard).cloned();
        let connector = match configured {
            Some(connector) => connector,
            None => Arc::new(self.connector(url)?),
        };
        Ok(Arc::new(RedisShard::open(
            shard.clone(),
            connector,
            &events,
            self.options.clone(),
        )))
    }
}
