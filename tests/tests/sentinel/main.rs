//! Shards and store behind real Sentinels: failovers are followed, and clients are told the truth about them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::sentinel::{Sentinels, Service};
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

mod failover;
mod load;
mod store;

const PASSWORD: &str = "secret-of-the-servers";

/// Between two publications, and two visits: so that streams hold all that is published.
const PACE: Duration = Duration::from_millis(10);

/// A primary and a replica.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
}

impl Pair {
    async fn start() -> Result<Self> {
        let options = |replica_of| RedisOptions {
            password: Some(PASSWORD.to_owned()),
            replica_of,
            ..RedisOptions::default()
        };
        let primary = RedisServer::start_with(options(None)).await?;
        let replica = RedisServer::start_with(options(Some(primary.port()))).await?;
        replica.wait_for_replication().await;
        Ok(Self { primary, replica })
    }

    fn service<'a>(&self, name: &'a str) -> Service<'a> {
        Service {
            name,
            port: self.primary.port(),
            password: PASSWORD,
            replicas: 1,
        }
    }

    /// Ends replication without Sentinel's seeing anything wrong with the replica: its primary lets it in no more.
    async fn let_lag(&self) -> Result<()> {
        let replica = &self.replica;
        replica
            .command::<()>(&["CONFIG", "SET", "masterauth", "wrong"])
            .await?;
        replica
            .command::<i64>(&["CLIENT", "KILL", "TYPE", "master"])
            .await?;
        eventually("the replica has lost its primary", SOON, || async {
            let info: Result<String> = replica.command(&["INFO", "replication"]).await;
            info.is_ok_and(|info| info.contains("master_link_status:down"))
        })
        .await;
        Ok(())
    }
}

fn config(shards: &Value, store: &str) -> GatewayConfig {
    let stream = json!({
        "history_size": 100_000,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    GatewayConfig::default()
        .set("shards", shards.clone())
        .set("cluster.store", store)
        .set("cluster.shards_managed_by", "api")
        // Nobody who is just slow is taken for gone; and publishers are told of an outage before it is over.
        .set("cluster.command_timeout", "5s")
        .set("cluster.publish_wait", "500ms")
        .set("client.recovery_max_publication_limit", 100_000)
        .set("client.resubscribe_spread", "1s")
        // Somebody listens and says nothing for long.
        .set("client.ping_interval", "10m")
        .namespace("stream", &stream)
}

#[tokio::test]
async fn what_is_wrong_with_sentinels_is_said() -> Result<()> {
    let (shard, store) = (RedisServer::start().await?, RedisServer::start().await?);
    let service = Service {
        name: "shard",
        port: shard.port(),
        password: "",
        replicas: 0,
    };
    let sentinels = Sentinels::start(1, &[service], "").await?;
    let hosts = sentinels.hosts();
    for (url, words) in [
        (format!("redis+sentinel://{hosts}/other"), "watches no service"),
        (
            "redis+sentinel://127.0.0.1:1/shard".to_owned(),
            "no Sentinel names the primary: 127.0.0.1:1",
        ),
    ] {
        let shards = json!([{ "name": "one", "url": url }]);
        let gateway = Gateway::launch(&config(&shards, &store.url())).await?;
        eventually(format!("/ready says {words}"), SOON, || async {
            let ready = gateway.ready().await;
            ready.is_ok_and(|(_, body)| body.to_string().contains(words))
        })
        .await;
    }
    // One of several is enough.
    let url = format!("redis+sentinel://127.0.0.1:1,{hosts}/shard");
    let shards = json!([{ "name": "one", "url": url }]);
    let mut gateway = Gateway::launch(&config(&shards, &store.url())).await?;
    gateway.wait_until_ready().await;
    gateway.api().publish("stream:news", &json!(1)).await?;
    let durable = json!({ "name": "two", "url": url, "durable": true });
    let refusal = gateway.api().try_call("shards/add", &durable).await?.err();
    let refusal = refusal.context("it was accepted")?;
    assert!(refusal.message.contains("not durable"), "{}", refusal.message);
    Ok(())
}
