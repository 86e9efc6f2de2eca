//! The overlay's Sentinels, shards, store and a gateway, and what is published meanwhile.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::api::Api;
use campanile_tests::gateway::{API_KEY, Gateway, GatewayConfig};
use campanile_tests::island::{self, NAME_SERVER, Names};
use campanile_tests::manifests::Manifests;
use campanile_tests::name_server::NameServer;
use campanile_tests::token;
use campanile_tests::wait::{eventually, until};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::pod::{Pod, Set};

/// How long Sentinels may take to find and to decide what they have to, and everything to move, on a busy machine: when a failover comes
/// to nothing they wait two minutes before the next one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(400);

/// Channels with a stream, and as many without.
const CHANNELS_OF_EACH_KIND: usize = 40;

/// Where a server's pods wait for their successors.
type Pods = Vec<Pod>;

/// The overlay.
pub(crate) struct World {
    pub(crate) sentinels: Pods,
    /// The set of those who begin as primaries, and that of those who begin as replicas.
    pub(crate) shards: [Pods; 2],
    pub(crate) store: Pod,
    pub(crate) gateway: Gateway,
    pub(crate) channels: Vec<String>,
    sets: [Set; 2],
    service: NameServer,
    addresses: u32,
}

/// Runs a test with the overlay's names and an address for whoever asks.
pub(crate) fn on_an_island<F>(test: impl FnOnce(Names) -> F + Send + 'static) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let domains = [
        "campanile.svc.cluster.local",
        "svc.cluster.local",
        "cluster.local",
    ];
    island::run(&domains.map(str::to_owned), test)
}

impl World {
    /// Starts everything at once, as `kubectl apply` does, and waits until the shards share everything. `variables` and
    /// `settings` are what is different from the manifests.
    pub(crate) async fn start(
        names: Names,
        variables: &[(&str, &str)],
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let manifests = Manifests::overlay("production")?;
        let variables = variables.iter().chain([&("INTERVAL_SECONDS", "1")]);
        let variables: BTreeMap<_, _> = variables
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let set = |name| Set {
            manifests: Arc::clone(&manifests),
            name,
            names: names.clone(),
            variables: variables.clone(),
        };
        let sets = ["campanile-shard", "campanile-shard-replica"].map(set);
        let mut addresses = 0;
        let mut started = |set: &Set| -> Result<Pods> {
            let count = set.manifests.workload(set.name)?.0["spec"]["replicas"].as_u64();
            let pods = 0..usize::try_from(count.context("a number of pods")?)?;
            let start = |number| {
                let mut pod = Pod::new(set, number)?;
                pod.start(next_address(&mut addresses))?;
                Ok(pod)
            };
            pods.map(start).collect()
        };
        let shards = [started(&sets[0])?, started(&sets[1])?];
        let store = started(&set("campanile-store"))?;
        let store = store.into_iter().next().context("a store")?;
        let sentinels = started(&set("campanile-sentinel"))?;
        names.set("campanile-store", store.address())?;
        let mut config = configuration(&manifests)?;
        for (key, value) in settings {
            config = config.set(key, *value);
        }
        let service = service(&manifests)?;
        let service = NameServer::start_at((NAME_SERVER, 53).into(), &service, listed(&shards)?).await?;
        let world = Self {
            gateway: Gateway::start(&config).await?,
            sentinels,
            shards,
            store,
            channels: (0..CHANNELS_OF_EACH_KIND)
                .flat_map(|index| [format!("stream:{index}"), format!("plain:{index}")])
                .collect(),
            sets,
            service,
            addresses,
        };
        world
            .shared_out("the shards share everything", |shares| {
                shares.len() == 3 && shares.values().all(|share| *share > 0)
            })
            .await;
        Ok(world)
    }

    /// Its API.
    pub(crate) fn api(&self) -> Api {
        self.gateway.api()
    }

    /// An address that nobody has had.
    pub(crate) fn next_address(&mut self) -> Ipv4Addr {
        next_address(&mut self.addresses)
    }

    /// Starts one more pod in each of the shards' sets, at the same time.
    pub(crate) fn scale_up(&mut self) -> Result<()> {
        for index in 0..2 {
            let mut pod = Pod::new(&self.sets[index], self.shards[index].len())?;
            pod.start(self.next_address())?;
            self.shards[index].push(pod);
        }
        self.list()
    }

    /// Ends the last pod of each of the shards' sets, at the same time: hook, SIGTERM, off the list.
    pub(crate) async fn scale_down(&mut self) -> Result<()> {
        let leaving = self.shards.iter_mut().filter_map(Vec::pop);
        let end = async |mut pod: Pod| {
            pod.pre_stop().await?;
            if !pod.is_replica().await? {
                let drained = pod.redis(&["EXISTS", "campanile:drained"]).await?;
                ensure!(drained == "1", "{drained}");
                let streams = pod.redis(&["KEYS", "campanile:*:stream:*"]).await?;
                ensure!(streams.is_empty(), "{streams}");
            }
            pod.terminate().await
        };
        try_join_all(leaving.map(end)).await?;
        self.list()
    }

    /// Lists the shards' pods that there are in the DNS.
    pub(crate) fn list(&self) -> Result<()> {
        self.service.list(listed(&self.shards)?);
        Ok(())
    }

    /// Waits until nothing moves and the shards own what they should.
    pub(crate) async fn shared_out(&self, what: &str, holds: impl Fn(&BTreeMap<String, u64>) -> bool) {
        eventually(what, PATIENCE, || async {
            let shares = self.api().shares().await.ok().flatten();
            shares.is_some_and(|shares| holds(&shares))
        })
        .await;
    }

    /// Waits until all Sentinels say of `shard` that this is its primary.
    pub(crate) async fn led_by(&self, shard: &str, primary: &str) {
        eventually(format!("all Sentinels name {primary}"), PATIENCE, || async move {
            let answers = self.sentinels.iter().map(|sentinel| async move {
                let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", shard];
                sentinel.sentinel(&words).await.unwrap_or_default()
            });
            let answers = futures_util::future::join_all(answers).await;
            answers
                .iter()
                .all(|answer| answer.lines().next() == Some(primary))
        })
        .await;
    }

    /// Waits until every Sentinel can have `shard` fail over: it knows two others and a replica that follows.
    pub(crate) async fn watched_by_all(&self, shard: &str) {
        for sentinel in &self.sentinels {
            eventually("a Sentinel knows all others", PATIENCE, || async {
                let quorum = ["SENTINEL", "CKQUORUM", shard];
                let quorum = sentinel.sentinel(&quorum).await.unwrap_or_default();
                let replicas = ["SENTINEL", "REPLICAS", shard];
                let replicas = sentinel.sentinel(&replicas).await.unwrap_or_default();
                quorum.starts_with("OK 3 ") && fields(&replicas, "master-link-status") == ["ok"]
            })
            .await;
        }
    }

    /// What a Sentinel watches, in order.
    pub(crate) async fn watched(sentinel: &Pod) -> Result<Vec<String>> {
        let answer = sentinel.sentinel(&["SENTINEL", "MASTERS"]).await?;
        let mut watched: Vec<_> = fields(&answer, "name").into_iter().map(str::to_owned).collect();
        watched.sort();
        Ok(watched)
    }

    /// Nobody has been denied anything by any server since it started.
    pub(crate) async fn nobody_was_denied(&self) -> Result<()> {
        let servers = self.shards.iter().flatten().chain([&self.store]);
        for pod in servers.filter(|pod| pod.is_there()) {
            let log = pod.redis(&["ACL", "LOG"]).await?;
            ensure!(log.is_empty(), "{}: {log}", pod.short_host()?);
        }
        for pod in &self.sentinels {
            let log = pod.sentinel(&["ACL", "LOG"]).await?;
            ensure!(log.is_empty(), "{}: {log}", pod.short_host()?);
        }
        Ok(())
    }

    /// The last thing that was said in a channel, as soon as its shard answers.
    pub(crate) async fn last_word(&self, channel: &str) -> Value {
        until("the channel's history is there", PATIENCE, || async {
            let history = self.api().history(channel).await.ok()?;
            history.last().cloned()
        })
        .await
    }
}

/// The values of this name in what `redis-cli` prints of lists of names and values.
fn fields<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let lines: Vec<&str> = answer.lines().collect();
    let pairs = lines.chunks_exact(2).filter(|pair| pair[0] == name);
    pairs.map(|pair| pair[1]).collect()
}

/// 127.1.0.1 and so on: an address for each run of a pod.
fn next_address(last: &mut u32) -> Ipv4Addr {
    *last += 1;
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + *last)
}

/// What the DNS says of the pods that there are.
fn listed(shards: &[Pods; 2]) -> Result<Vec<(String, u16)>> {
    let there = shards.iter().flatten().filter(|pod| pod.is_there());
    there.map(|pod| Ok((format!("{}.", pod.host()?), 6379))).collect()
}

/// The full name of what the gateways ask for.
fn service(manifests: &Manifests) -> Result<String> {
    let file = campanile_yaml(manifests)?;
    let name = file["cluster"]["dns"]["name"].as_str().context("a name")?;
    Ok(format!("{name}.campanile.svc.cluster.local."))
}

fn campanile_yaml(manifests: &Manifests) -> Result<Value> {
    let files = manifests.volume(manifests.workload("campanile-gateway")?, "config")?;
    Ok(serde_yaml_ng::from_str(
        files.get("campanile.yaml").context("a file")?,
    )?)
}

/// The gateways' configuration of the manifests, with what the test needs to look at it.
fn configuration(manifests: &Manifests) -> Result<GatewayConfig> {
    let container = manifests.workload("campanile-gateway")?.container()?;
    let variables = manifests.environment(container, "campanile-gateway-0")?;
    let variable = |name: &str| {
        let found = variables.iter().find(|(key, _)| key == name);
        let (_, value) = found.with_context(|| name.to_owned())?;
        anyhow::Ok(value.as_str())
    };
    let stream = json!({
        "history_size": 1000,
        "history_ttl": "600s",
        "force_recovery": true,
        "force_positioning": true,
        "allow_subscribe_for_client": true,
    });
    Ok(GatewayConfig::from(campanile_yaml(manifests)?)
        .set("http_server.address", "127.0.0.1")
        .set("http_server.port", 0)
        .set("http_server.internal_port", 0)
        .set("http_server.tls", json!({ "enabled": false }))
        .set("quic.generated_certificate", true)
        .set("http_api.key", API_KEY)
        .set("client.token.hmac_secret_key", token::SECRET)
        .set("client.channel_limit", 10_000)
        .set("cluster.store", variable("CAMPANILE_CLUSTER_STORE")?)
        .set("cluster.dns.url", variable("CAMPANILE_CLUSTER_DNS_URL")?)
        .set("cluster.dns.interval", "1s")
        .namespace("stream", &stream)
        .namespace("plain", &json!({ "allow_subscribe_for_client": true })))
}
