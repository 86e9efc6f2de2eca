//! A cluster, the clients that watch it, and what an operator does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use campanile_common::ChannelName;
use campanile_shard_router::partition::Partition;
use campanile_shard_router::topology::Topology;
use campanile_tests::api::Api;
use campanile_tests::balancer::Balancer;
use campanile_tests::cluster::{Cluster, ClusterBuilder};
use campanile_tests::gateway::API_KEY;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::redis::RedisServer;
use campanile_tests::token;
use campanile_tests::wait::{eventually, until};
use campanile_tests::wire::{Handshake, Transport};
use serde_json::{Value, json};

use crate::hand::Hand;
use crate::load::{Books, Load, Pace};

/// Channels with a stream, and as many without.
pub(crate) const CHANNELS_OF_EACH_KIND: usize = 1000;
/// What a plan of moves may take on a machine that does other things as well.
pub(crate) const MOVED: Duration = Duration::from_secs(120);
/// How long the last messages may be on their way, and a thousand subscriptions.
const ARRIVED: Duration = Duration::from_secs(60);

/// Three gateways, their shards, and those who watch.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) streams: Vec<String>,
    pub(crate) plain: Vec<String>,
    pub(crate) watchers: Vec<Watcher>,
    /// One before each gateway, so that another can take its place.
    fronts: Vec<Balancer>,
    /// The gateways that have watchers and are published through.
    seats: Vec<usize>,
    /// The generation of the last change that was asked for: before that, a gateway's word says nothing about it.
    asked: AtomicU64,
}

/// A client and the channels it watches.
pub(crate) struct Watcher {
    pub(crate) name: String,
    pub(crate) channels: Vec<String>,
    eyes: Eyes,
}

/// What watches.
enum Eyes {
    Sdk(Box<Puppet>),
    Hand(Hand),
}

/// What a watcher has seen since it was last told to forget.
#[derive(Clone, Debug)]
pub(crate) struct Report(Value);

impl World {
    /// The cluster of most tests: `shards` shards, managed by commands, and three gateways.
    pub(crate) fn cluster(shards: usize) -> ClusterBuilder {
        let options = |extra: Value| {
            let mut options = json!({ "allow_subscribe_for_client": true });
            for (key, value) in extra.as_object().cloned().unwrap_or_default() {
                options[key] = value;
            }
            options
        };
        let stream = json!({
            "history_size": 1000, "history_ttl": "600s", "force_recovery": true, "force_positioning": true,
        });
        Cluster::builder()
            .shards(shards)
            .gateways(3)
            .set("cluster.shards_managed_by", "api")
            // Nothing may fail because the machine is slow.
            .set("cluster.command_timeout", "10s")
            .set("cluster.publish_wait", "10s")
            .set("client.channel_limit", 10_000)
            .set("client.recovery_max_publication_limit", 1000)
            .set("log.level", "info")
            .namespace("stream", &options(stream))
            .namespace("plain", &options(json!({})))
    }

    /// Starts it with `each` channels of each kind, watched on every gateway.
    pub(crate) async fn start(cluster: ClusterBuilder, each: usize) -> Result<Self> {
        Self::start_on(cluster, each, &[0, 1, 2]).await
    }

    /// The same with watchers, and publications, on these gateways only.
    pub(crate) async fn start_on(cluster: ClusterBuilder, each: usize, seats: &[usize]) -> Result<Self> {
        let cluster = cluster.start().await?;
        let mut fronts = Vec::new();
        for gateway in &cluster.gateways {
            fronts.push(Balancer::start(gateway.address()).await?);
        }
        let names = |kind: &str| (0..each).map(|index| format!("{kind}:{index}")).collect();
        let mut world = Self {
            cluster,
            streams: names("stream"),
            plain: names("plain"),
            watchers: Vec::new(),
            fronts,
            seats: seats.to_vec(),
            asked: AtomicU64::new(0),
        };
        for (index, sdk) in Sdk::ALL.into_iter().enumerate() {
            let own = world.share(index, Sdk::ALL.len());
            let gateway = seats[index % seats.len()];
            let watcher = world.watch(&format!("{sdk:?}"), sdk, gateway, own).await?;
            world.watchers.push(watcher);
        }
        // One that watches what another one watches, on another gateway.
        let own = world.share(0, Sdk::ALL.len());
        let double = world.watch("double", Sdk::JsJson, seats[1], own).await?;
        world.watchers.push(double);
        Ok(world)
    }

    /// All channels.
    pub(crate) fn channels(&self) -> Vec<String> {
        [self.streams.clone(), self.plain.clone()].concat()
    }

    /// Every `of`-th channel, beginning with the `index`-th.
    pub(crate) fn share(&self, index: usize, of: usize) -> Vec<String> {
        self.channels().into_iter().skip(index).step_by(of).collect()
    }

    /// A client that watches `channels` through one of the gateways.
    pub(crate) async fn watch(
        &self,
        name: &str,
        sdk: Sdk,
        gateway: usize,
        channels: Vec<String>,
    ) -> Result<Watcher> {
        let puppet = Puppet::start_tally(sdk)?;
        let url = self.fronts[gateway].websocket_url();
        puppet
            .call(json!({ "do": "connect", "url": url, "token": token::connection(name) }))
            .await?;
        puppet
            .call(json!({ "do": "watch", "channels": channels }))
            .await?;
        let watcher = Watcher {
            name: name.to_owned(),
            channels,
            eyes: Eyes::Sdk(Box::new(puppet)),
        };
        watcher.subscribed().await;
        Ok(watcher)
    }

    /// Adds clients by hand over each transport, in native QUIC with streams of channels and without, which together watch every
    /// channel.
    pub(crate) async fn watch_over_each_transport(&mut self) -> Result<()> {
        let plain = Handshake {
            streams: 0,
            ..Handshake::default()
        };
        let ways = [
            ("by hand over WebSocket", Transport::WebSocket, plain),
            ("by hand over QUIC", Transport::Quic, plain),
            (
                "by hand over QUIC with streams",
                Transport::Quic,
                Handshake::default(),
            ),
            ("by hand over WebTransport", Transport::WebTransport, plain),
        ];
        for (index, (name, transport, handshake)) in ways.into_iter().enumerate() {
            let channels = self.share(index, ways.len());
            let gateway = &self.cluster.gateways[self.seats[index % self.seats.len()]];
            let hand = Hand::start(name, &gateway.endpoint(transport), handshake, &channels).await?;
            self.watchers.push(Watcher {
                name: name.to_owned(),
                channels,
                eyes: Eyes::Hand(hand),
            });
        }
        Ok(())
    }

    /// The APIs of the gateways that have watchers.
    pub(crate) fn apis(&self) -> Vec<Api> {
        let seats = self.seats.iter();
        let api = |seat: &usize| Api::new(&format!("http://{}", self.fronts[*seat].address()), API_KEY);
        seats.map(api).collect()
    }

    /// Puts a new gateway in the place of an old one, which is then stopped.
    pub(crate) async fn replace_gateway(&mut self, index: usize) -> Result<()> {
        let mut fresh = self.cluster.launch_gateway().await?;
        fresh.wait_until_ready().await;
        self.fronts[index].point_to(fresh.address());
        let mut old = std::mem::replace(&mut self.cluster.gateways[index], fresh);
        old.process_mut().terminate(ARRIVED).await.map(drop)
    }

    /// Starts to publish to every channel.
    pub(crate) fn publish(&self, pace: Pace) -> Load {
        Load::start(&self.apis(), &self.channels(), pace)
    }

    /// Waits until every channel has been published to once more, so that whoever watches has seen what is now.
    pub(crate) async fn round(&self, load: &Load) {
        let before = load.books().accepted;
        let further = || async {
            let now = load.books().accepted;
            let channels = self.channels();
            channels.iter().all(|it| now.get(it) > before.get(it))
        };
        eventually("every channel is published to once more", ARRIVED, further).await;
    }

    /// Ends the publishing and waits until each watcher has the last number of each of its channels.
    pub(crate) async fn settle(&self, load: Load) -> Books {
        let books = load.stop().await;
        for watcher in &self.watchers {
            watcher.arrived(&books.accepted).await;
        }
        books
    }

    /// Asks a gateway for a change of the shards that it must accept.
    pub(crate) async fn ask(&self, command: &str, params: Value) -> Result<Value> {
        let api = self.apis().remove(0);
        let answer = api.call(&format!("shards/{command}"), &params).await?;
        let generation = answer["generation"].as_u64().unwrap_or_default();
        self.asked.fetch_max(generation, Ordering::Relaxed);
        Ok(answer)
    }

    /// What `shards/status` says.
    pub(crate) async fn status(&self) -> Result<Value> {
        self.ask("status", json!({})).await
    }

    /// Waits until nothing is planned and nothing moves.
    pub(crate) async fn moved(&self) {
        eventually("the moves are done", MOVED, || async {
            let asked = self.asked.load(Ordering::Relaxed);
            let follows = |status: &Value| status["generation"].as_u64() >= Some(asked);
            let status = self.status().await;
            status.is_ok_and(|status| follows(&status) && status["moves"].is_null())
        })
        .await;
    }

    /// The partitions that each shard owns.
    pub(crate) async fn shares(&self) -> Result<BTreeMap<String, u64>> {
        let list = self.ask("list", json!({})).await?;
        let shards = list["shards"].as_array().context("a list of shards")?;
        let share = |shard: &Value| {
            let name = shard["name"].as_str()?.to_owned();
            Some((name, shard["partitions"].as_u64()?))
        };
        shards
            .iter()
            .map(|shard| share(shard).with_context(|| shard.to_string()))
            .collect()
    }

    /// The topology, as it is stored.
    pub(crate) async fn topology(&self) -> Result<Topology> {
        let document: Vec<u8> = self
            .cluster
            .store
            .command(&["HGET", "campanile:topology", "document"])
            .await?;
        Ok(Topology::decode(&document)?)
    }

    /// Those of `channels` that the topology gives to `shard`.
    pub(crate) fn on(topology: &Topology, shard: &str, channels: &[String]) -> BTreeSet<String> {
        let there = |channel: &&String| owner(topology, channel) == shard;
        channels.iter().filter(there).cloned().collect()
    }

    /// The gateway that coordinates.
    pub(crate) async fn leader(&self) -> usize {
        until("a gateway coordinates", ARRIVED, || async {
            for (index, gateway) in self.cluster.gateways.iter().enumerate() {
                let metrics = gateway.metrics().await;
                if metrics.is_ok_and(|it| it.count("campanile_coordinator_leading", &[]) == 1) {
                    return Some(index);
                }
            }
            None
        })
        .await
    }

    /// Waits until less than `part` of the present plan is left, but some of it.
    pub(crate) async fn underway(&self, part: f64) {
        until("a plan is under way", MOVED, || async {
            let status = self.status().await.ok()?;
            let number = |key: &str| status["moves"][key].as_f64();
            let (left, moving) = (number("left")?, number("moving")?);
            (moving > 0.0 && left < part * number("planned")?).then_some(())
        })
        .await;
    }

    /// A Redis of its own, and the request that makes it the shard `name`.
    pub(crate) async fn spare(&self, name: &str) -> Result<(RedisServer, Value)> {
        let server = RedisServer::start().await?;
        let params = json!({ "name": name, "url": server.url() });
        Ok((server, params))
    }

    /// No watcher has missed, doubled or reordered anything, nor noticed that anything moved.
    pub(crate) async fn nobody_noticed(&self) -> Result<()> {
        for watcher in &self.watchers {
            let report = watcher.report().await?;
            assert!(report.is_spotless(), "{}: {report:?}", watcher.name);
        }
        Ok(())
    }

    /// Prints how long partitions were closed: for people, since a test has no stopwatch.
    #[expect(clippy::print_stdout, reason = "a figure to be read in the test's output")]
    pub(crate) async fn print_pauses(&self) {
        for gateway in &self.cluster.gateways {
            let (_, text) = gateway.get("/metrics").await.unwrap_or_default();
            for line in text
                .lines()
                .filter(|line| line.starts_with("campanile_move_pause_seconds"))
            {
                println!("{line}");
            }
        }
    }
}

/// The name of the shard to which the topology gives `channel`.
pub(crate) fn owner<'a>(topology: &'a Topology, channel: &str) -> &'a str {
    let channel = ChannelName::parse(channel, 255).expect("a channel's name");
    topology.partition(Partition::of(&channel)).owner().as_str()
}

impl Watcher {
    /// What it has seen.
    pub(crate) async fn report(&self) -> Result<Report> {
        Ok(Report(match &self.eyes {
            Eyes::Sdk(puppet) => puppet.call(json!({ "do": "report" })).await?,
            Eyes::Hand(hand) => hand.report(),
        }))
    }

    /// The last number of each channel.
    async fn numbers(&self) -> Result<Value> {
        match &self.eyes {
            Eyes::Sdk(puppet) => Ok(puppet.call(json!({ "do": "numbers" })).await?),
            Eyes::Hand(hand) => Ok(hand.numbers()),
        }
    }

    /// Tells its SDK to do something.
    async fn call(&self, what: &str) -> Result<()> {
        let Eyes::Sdk(puppet) = &self.eyes else {
            bail!("{} does only watch", self.name);
        };
        puppet.call(json!({ "do": what })).await?;
        Ok(())
    }

    /// Waits until it is subscribed to each of its channels.
    pub(crate) async fn subscribed(&self) {
        until(format!("{} is subscribed", self.name), ARRIVED, || async {
            let report = self.report().await.ok()?;
            (report.count("subscribed") == self.channels.len()).then_some(())
        })
        .await;
    }

    /// Waits until it has the last of what was accepted.
    pub(crate) async fn arrived(&self, accepted: &BTreeMap<String, u64>) {
        until(
            format!("{} has received everything", self.name),
            ARRIVED,
            || async {
                let numbers = self.numbers().await.ok()?;
                let has = |channel: &String| {
                    accepted
                        .get(channel)
                        .is_none_or(|last| numbers[channel].as_u64() == Some(*last))
                };
                self.channels.iter().all(has).then_some(())
            },
        )
        .await;
    }

    /// Disconnects.
    pub(crate) async fn leave(&self) -> Result<()> {
        self.call("leave").await
    }

    /// Forgets what it has noted so far, but not the numbers.
    pub(crate) async fn forget(&self) -> Result<()> {
        self.call("forget").await
    }

    /// Connects again and waits until it is subscribed to each of its channels.
    pub(crate) async fn come_back(&self) -> Result<Report> {
        self.call("return").await?;
        self.subscribed().await;
        self.report().await
    }
}

impl Report {
    /// One of its sums.
    pub(crate) fn count(&self, what: &str) -> usize {
        let count = self.0[what].as_u64();
        count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or_default()
    }

    /// The channels that were resubscribed with `recovered`, that were `lost` then, or whose numbers were `wrong`.
    pub(crate) fn channels(&self, which: &str) -> BTreeSet<String> {
        let channels = self.0[which].as_array().into_iter().flatten();
        channels.filter_map(|it| Some(it.as_str()?.to_owned())).collect()
    }

    /// Whether nothing was lost, doubled or out of order, and nothing else was to be noticed.
    pub(crate) fn is_spotless(&self) -> bool {
        let uneventful = ["disconnects", "unsubscribes", "errors"];
        let nobody = ["wrong", "recovered", "lost"];
        uneventful.iter().all(|what| self.count(what) == 0)
            && nobody.iter().all(|which| self.channels(which).is_empty())
    }
}
