//! What is broken: the shards, the gateways, and what stands ready beside them.

use anyhow::Result;
use campanile_tests::balancer::Balancer;
use campanile_tests::cluster::Cluster;
use campanile_tests::redis::{RedisOptions, RedisServer};
use serde_json::json;

use crate::Breaks;
use crate::model::Publication;
use crate::world::Channel;

/// The shard that is declared durable: nothing is lost there but by a fault that says so.
pub(crate) const DURABLE: usize = 2;
/// The shard that has a replica.
pub(crate) const REPLICATED: usize = 1;
/// The name of the shard that joins and leaves, the last of the cluster's.
pub(crate) const SPARE: &str = "spare";

/// A cluster, and what it takes to reshape it.
pub(crate) struct Deployment {
    pub(crate) cluster: Cluster,
    /// If it is to be reshaped.
    pub(crate) standby: Option<Standby>,
}

/// What can take the place of the replicated shard.
pub(crate) struct Standby {
    /// The address of that shard, whoever serves it.
    pub(crate) front: Balancer,
    /// Follows it.
    pub(crate) replica: RedisServer,
}

impl Deployment {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(breaks: Breaks) -> Result<Self> {
        match breaks {
            Breaks::Shard(_) => {
                let cluster = builder(json!({})).gateways(2).start().await?;
                Ok(Self {
                    cluster,
                    standby: None,
                })
            }
            Breaks::Everything => Self::start_to_reshape().await,
        }
    }

    async fn start_to_reshape() -> Result<Self> {
        let front = Balancer::start("127.0.0.1:1").await?;
        let url = format!("redis://{}", front.address());
        let cluster = builder(json!({ "url": url }))
            .set("cluster.shards_managed_by", "api")
            .set("cluster.evict_after", "2500ms")
            .set("cluster.barrier_timeout", "4s")
            // Few batches, so that plans come to an end between the faults.
            .set("cluster.max_moving", 512);
        let mut cluster = cluster.start().await?;
        let primary = cluster.shards[REPLICATED].port();
        front.point_to(&address(primary));
        let replica = RedisServer::start_with(following(primary)).await?;
        cluster.shards.push(RedisServer::start().await?);
        cluster.add_gateway().await?;
        cluster.add_gateway().await?;
        Ok(Self {
            cluster,
            standby: Some(Standby { front, replica }),
        })
    }

    /// The channels of a run. Each that keeps a stream has one publication.
    pub(crate) async fn channels(&self) -> Result<Vec<Channel>> {
        let cluster = &self.cluster;
        let of = |namespace: &str, count: usize, stream| {
            let channel = |index| Channel {
                name: format!("{namespace}:{index}"),
                stream,
                shard: None,
            };
            (0..count).map(channel).collect::<Vec<_>>()
        };
        let mut channels = [
            of("stream", 20, true),
            of("short", 7, true),
            of("plain", 3, false),
        ]
        .concat();
        for channel in channels.iter_mut().filter(|channel| channel.stream) {
            let first = Publication {
                publisher: "start".to_owned(),
                number: 1,
                keyed: false,
            };
            let first = serde_json::from_str(&first.payload())?;
            cluster.gateways[0].api().publish(&channel.name, &first).await?;
            channel.shard = cluster.shard_of(&channel.name).await?;
        }
        Ok(channels)
    }
}

impl Standby {
    /// The replica, which is a primary already, takes the place of `primary`, which is killed and follows from then on.
    pub(crate) async fn take_over(&mut self, primary: &mut RedisServer) -> Result<()> {
        primary.kill();
        std::mem::swap(&mut self.replica, primary);
        self.front.point_to(&address(primary.port()));
        self.replica.restart_with(following(primary.port())).await
    }
}

fn following(port: u16) -> RedisOptions {
    RedisOptions {
        replica_of: Some(port),
        ..RedisOptions::default()
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn builder(replicated: serde_json::Value) -> campanile_tests::cluster::ClusterBuilder {
    let append = |fsync| RedisOptions {
        append_only: Some(fsync),
        ..RedisOptions::default()
    };
    let stream = json!({
        "history_size": 200, "history_ttl": "300s", "force_recovery": true, "force_positioning": true,
        "allow_subscribe_for_client": true, "allow_publish_for_client": true,
    });
    let mut short = stream.clone();
    short["history_size"] = json!(10);
    let plain = json!({ "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    Cluster::builder()
        .shard(append("everysec"), json!({}))
        .shard(RedisOptions::default(), replicated)
        .shard(append("always"), json!({ "durable": true }))
        .namespace("stream", &stream)
        .namespace("short", &short)
        .namespace("plain", &plain)
        .set("client.channel_position_check_delay", "4s")
        .set("cluster.command_timeout", "1s")
        .set("cluster.publish_wait", "1s")
        .set("log.level", "info")
}
