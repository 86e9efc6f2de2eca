//! Gateways and Redis servers as the manifests run them, publishers, and clients that watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_tests::api::Api;
use campanile_tests::gateway::{API_KEY, Gateway, GatewayConfig};
use campanile_tests::manifests::Manifests;
use campanile_tests::name_server::NameServer;
use campanile_tests::token;
use campanile_tests::wait::eventually;
use campanile_tests::wire::{Handshake, Transport};
use serde_json::{Value, json};

use crate::hand::Hand;
use crate::load::{Load, Pace};
use crate::pod::Pod;

pub(crate) const SHARD: &str = "campanile-shard";
pub(crate) const STORE: &str = "campanile-store";

/// Channels with a stream, and as many without.
const CHANNELS_OF_EACH_KIND: usize = 100;
/// What a plan of moves may take on a machine that does other things as well.
pub(crate) const MOVED: Duration = Duration::from_secs(300);
/// How long the last messages may be on their way.
const ARRIVED: Duration = Duration::from_secs(180);

/// A publication that is not answered is made again, and is the same.
const PACE: Pace = Pace {
    rate: 300,
    keyed: true,
};

/// A deployment under load.
pub(crate) struct World {
    pub(crate) manifests: Arc<Manifests>,
    pub(crate) shards: Vec<Pod>,
    names: NameServer,
    gateways: Vec<Gateway>,
    watchers: Vec<Hand>,
    load: Load,
    channels: Vec<String>,
    _store: Pod,
}

impl World {
    /// Starts as many shards as the base has, two gateways, publishers, and a watcher on each gateway. `gone_after` is how long
    /// a shard may be missing from the DNS.
    pub(crate) async fn start(gone_after: &str) -> Result<Self> {
        let manifests = Manifests::overlay("own")?;
        let store = Pod::start(&manifests, STORE, 0).await?;
        let mut shards = Vec::new();
        for number in 0..3 {
            shards.push(Pod::start(&manifests, SHARD, number).await?);
        }
        let config = configuration(&manifests, &store)?.set("cluster.dns.gone_after", gone_after);
        let service = config.text();
        let service: Value = serde_json::from_str(&service)?;
        let service = service["cluster"]["dns"]["name"].as_str().context("a name")?;
        let names = NameServer::start(service, listed(&shards)).await?;
        let config = config.set("cluster.dns.server", names.address().to_string());
        let mut gateways = Vec::new();
        for number in 0..2 {
            let config = config.clone().set("node.name", format!("gateway-{number}"));
            gateways.push(Gateway::start(&config).await?);
        }
        let channels: Vec<_> = (0..CHANNELS_OF_EACH_KIND)
            .flat_map(|index| [format!("stream:{index}"), format!("plain:{index}")])
            .collect();
        let mut watchers = Vec::new();
        for gateway in &gateways {
            let endpoint = gateway.endpoint(Transport::WebSocket);
            let plain = Handshake {
                streams: 0,
                ..Handshake::default()
            };
            watchers.push(Hand::start("watcher", &endpoint, plain, &channels).await?);
        }
        let apis: Vec<Api> = gateways.iter().map(Gateway::api).collect();
        let load = Load::start(&apis, &channels, PACE);
        let world = Self {
            manifests,
            shards,
            names,
            gateways,
            watchers,
            load,
            channels,
            _store: store,
        };
        world
            .shared_out("the three shards share everything", |shares| {
                shares.len() == 3 && shares.values().all(|share| *share > 0)
            })
            .await;
        world.round().await;
        Ok(world)
    }

    /// Lists the shards that there are in the DNS.
    pub(crate) fn list(&self) {
        self.names.list(listed(&self.shards));
    }

    /// Waits until nothing moves and the shards own what they should.
    pub(crate) async fn shared_out(&self, what: &str, holds: impl Fn(&BTreeMap<String, u64>) -> bool) {
        eventually(what, MOVED, || async {
            let shares = self.gateways[0].api().shares().await.ok().flatten();
            shares.is_some_and(|shares| holds(&shares))
        })
        .await;
    }

    /// Waits until every channel has been published to once more, so that whoever watches has seen what is now.
    pub(crate) async fn round(&self) {
        let before = self.load.books().accepted;
        eventually("every channel is published to once more", ARRIVED, || async {
            let now = self.load.books().accepted;
            self.channels.iter().all(|it| now.get(it) > before.get(it))
        })
        .await;
    }

    /// Ends the publishing: every watcher has had every message once, in order, without being unsubscribed or cut off.
    #[expect(clippy::print_stdout, reason = "a figure to be read in the test's output")]
    pub(crate) async fn nobody_noticed(self) {
        self.round().await;
        let books = self.load.stop().await;
        for watcher in &self.watchers {
            eventually("a watcher has received everything", ARRIVED, || async {
                let numbers = watcher.numbers();
                let has = |(channel, last): (&String, &u64)| numbers[channel.as_str()] == *last;
                books.accepted.iter().all(has)
            })
            .await;
            let report = watcher.report();
            assert_eq!(report["subscribed"], self.channels.len());
            for trouble in ["disconnects", "unsubscribes"] {
                assert_eq!(report[trouble], 0, "{report}");
            }
            assert_eq!(report["wrong"], json!([]), "{report}");
        }
        println!(
            "{} publications, of which {} took more than one attempt: {:?}",
            books.count, books.refusals, books.errors
        );
    }
}

/// What the DNS says of these pods.
fn listed(pods: &[Pod]) -> Vec<(String, u16)> {
    pods.iter()
        .map(|pod| (format!("{}.", pod.host()), pod.port()))
        .collect()
}

/// The gateways' configuration of the manifests, with what a single machine needs to be different.
fn configuration(manifests: &Manifests, store: &Pod) -> Result<GatewayConfig> {
    let workload = manifests.workload("campanile-gateway")?;
    let files = manifests.volume(workload, "config")?;
    let file: Value = serde_yaml_ng::from_str(files.get("campanile.yaml").context("a file")?)?;
    let password = store.password();
    let namespace = |extra: &[(&str, Value)]| {
        let mut options = json!({ "allow_subscribe_for_client": true });
        for (key, value) in extra {
            options[*key] = value.clone();
        }
        options
    };
    let stream = [
        ("history_size", json!(1000)),
        ("history_ttl", json!("600s")),
        ("force_recovery", json!(true)),
        ("force_positioning", json!(true)),
    ];
    Ok(GatewayConfig::from(file)
        .set("http_server.address", "127.0.0.1")
        .set("http_server.port", 0)
        .set("http_server.internal_port", 0)
        .set("http_server.tls", json!({ "enabled": false }))
        .set("quic.generated_certificate", true)
        .set("http_api.key", API_KEY)
        .set("client.token.hmac_secret_key", token::SECRET)
        .set("client.channel_limit", 10_000)
        .set(
            "cluster.store",
            format!("redis://campanile:{password}@127.0.0.1:{}", store.port()),
        )
        .set(
            "cluster.dns.url",
            format!("redis://{{host}}:{password}@127.0.0.1:{{port}}"),
        )
        .set("cluster.dns.interval", "1s")
        .namespace("stream", &namespace(&stream))
        .namespace("plain", &namespace(&[])))
}
