//! Several Redis shards, a topology store and several gateways, joined.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::gateway::{Gateway, GatewayConfig};
use crate::redis::{RedisOptions, RedisServer};

/// A running deployment.
#[derive(Debug)]
pub struct Cluster {
    /// The shards, by the names `redis-1`, `redis-2`, … in this order.
    pub shards: Vec<RedisServer>,
    /// The Redis with the topology: not one of the shards, so that shards can be broken alone.
    pub store: RedisServer,
    /// The gateways, named `gateway-1`, `gateway-2`, … in this order.
    pub gateways: Vec<Gateway>,
    config: GatewayConfig,
}

/// What a [`Cluster`] is to be made of.
#[derive(Debug)]
pub struct ClusterBuilder {
    shards: Vec<(RedisOptions, Value)>,
    gateways: usize,
    config: GatewayConfig,
}

impl Cluster {
    /// A cluster of no shards and no gateways yet.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            shards: Vec::new(),
            gateways: 0,
            config: GatewayConfig::default(),
        }
    }

    /// Starts one more gateway of the same configuration and waits until it is ready.
    pub async fn add_gateway(&mut self) -> Result<()> {
        let mut gateway = self.launch_gateway().await?;
        gateway.wait_until_ready().await;
        self.gateways.push(gateway);
        Ok(())
    }

    /// Starts one more gateway of the same configuration, without waiting for it to be ready or keeping it.
    pub async fn launch_gateway(&self) -> Result<Gateway> {
        let name = format!("gateway-{}", self.gateways.len() + 1);
        Gateway::launch(&self.config.clone().set("node.name", name)).await
    }

    /// Channels `NAME-0`, `NAME-1`, … that keep a stream, by the shard on which the stream was found: `count` on each.
    ///
    /// Publishes to find out, so that each of them has one publication, `null`.
    pub async fn channels_on_each_shard(&self, name: &str, count: usize) -> Result<Vec<Vec<String>>> {
        let api = self
            .gateways
            .first()
            .context("a gateway to publish through")?
            .api();
        let mut found = vec![Vec::new(); self.shards.len()];
        for index in 0..200 * self.shards.len() {
            let channel = format!("{name}-{index}");
            api.publish(&channel, &Value::Null).await?;
            let shard = self
                .shard_of(&channel)
                .await?
                .with_context(|| format!("nobody keeps {channel}"))?;
            found[shard].push(channel);
            if found.iter().all(|it| it.len() >= count) {
                found.iter_mut().for_each(|it| it.truncate(count));
                return Ok(found);
            }
        }
        bail!(
            "the channels are not spread: {:?}",
            found.iter().map(Vec::len).collect::<Vec<_>>()
        )
    }

    /// The index of the shard that keeps a channel's stream.
    pub async fn shard_of(&self, channel: &str) -> Result<Option<usize>> {
        let pattern = format!("*:stream:{channel}");
        for (index, shard) in self.shards.iter().enumerate() {
            if !shard
                .command::<Vec<String>>(&["KEYS", &pattern])
                .await?
                .is_empty()
            {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The configuration of its gateways.
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }
}

impl ClusterBuilder {
    /// Adds `count` shards that keep nothing on disk.
    #[must_use]
    pub fn shards(mut self, count: usize) -> Self {
        for _ in 0..count {
            self = self.shard(RedisOptions::default(), json!({}));
        }
        self
    }

    /// Adds a shard on a server with these options; `settings` are those of the gateways' `shards[]`. A `url` among them
    /// is another way to the server, such as through a proxy.
    #[must_use]
    pub fn shard(mut self, options: RedisOptions, settings: Value) -> Self {
        self.shards.push((options, settings));
        self
    }

    /// Asks for this many gateways.
    #[must_use]
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// Sets a configuration key of the gateways.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.config = self.config.set(path, value);
        self
    }

    /// Lets everybody do everything in the namespaces `bench` and `stream`, of which the latter keeps streams: those that
    /// the load harness uses.
    #[must_use]
    pub fn open_for_load(self) -> Self {
        let open = json!({
            "allow_subscribe_for_client": true,
            "allow_subscribe_for_anonymous": true,
            "allow_publish_for_client": true,
            "allow_publish_for_anonymous": true,
        });
        let mut stream = open.clone();
        stream["history_size"] = json!(1_000);
        stream["history_ttl"] = json!("300s");
        stream["force_recovery"] = json!(true);
        stream["force_positioning"] = json!(true);
        self.set("client.allow_anonymous_connect_without_token", true)
            .set("cluster.command_timeout", "10s")
            .set("cluster.publish_wait", "10s")
            .set("client.rate_limit.commands_per_second", 0)
            .namespace("bench", &open)
            .namespace("stream", &stream)
    }

    /// Adds a namespace.
    #[must_use]
    pub fn namespace(mut self, name: &str, options: &Value) -> Self {
        self.config = self.config.namespace(name, options);
        self
    }

    /// Starts everything and waits until every gateway is ready.
    pub async fn start(self) -> Result<Cluster> {
        let store = RedisServer::start_with(RedisOptions {
            append_only: Some("always"),
            ..RedisOptions::default()
        })
        .await?;
        let mut shards = Vec::new();
        let mut list = Vec::new();
        for (index, (options, settings)) in self.shards.into_iter().enumerate() {
            let server = RedisServer::start_with(options).await?;
            let mut entry = settings;
            entry["name"] = json!(format!("redis-{}", index + 1));
            if entry["url"].is_null() {
                entry["url"] = json!(server.url());
            }
            shards.push(server);
            list.push(entry);
        }
        let config = self
            .config
            .set("engine.type", "redis")
            .set("shards", list)
            .set("cluster.store", store.url());
        let mut cluster = Cluster {
            shards,
            store,
            gateways: Vec::new(),
            config,
        };
        for _ in 0..self.gateways {
            cluster.add_gateway().await?;
        }
        Ok(cluster)
    }
}
