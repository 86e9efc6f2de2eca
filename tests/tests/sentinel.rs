//! Shards and store behind real Sentinels: failovers are followed, and clients are told the truth about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use campanile_tests::api::Api;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::sentinel::{PATIENCE, Sentinels, Service};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

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
            append_only: Some("always"),
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
        .set("client.recovery_max_publication_limit", 100_000)
        .set("client.resubscribe_spread", "1s")
        // Somebody listens and says nothing for long.
        .set("client.ping_interval", "10m")
        .namespace("stream", &stream)
}

/// Publications that were accepted: their place and what they say.
type Accepted = BTreeMap<(String, u64), u64>;

/// Publishes to a channel one after the other until told to stop; notes what was accepted and how much was not.
struct Publisher {
    accepted: Arc<Mutex<Accepted>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<u64>,
}

impl Publisher {
    fn start(api: Api, channel: &str) -> Self {
        let (accepted, stop) = (Arc::<Mutex<Accepted>>::default(), watch::Sender::new(false));
        let (notes, stopped, channel) = (Arc::clone(&accepted), stop.subscribe(), channel.to_owned());
        let task = tokio::spawn(async move {
            let mut refused = 0;
            for number in 1.. {
                if *stopped.borrow() {
                    break;
                }
                match api.publish(&channel, &json!(number)).await {
                    Ok((offset, epoch)) => {
                        notes.lock().insert((epoch, offset), number);
                    }
                    Err(_) => refused += 1,
                }
                sleep(PACE).await;
            }
            refused
        });
        Self { accepted, stop, task }
    }

    fn accepted(&self) -> Accepted {
        self.accepted.lock().clone()
    }

    /// Waits until `count` more have been accepted.
    async fn goes_on(&self, count: usize) {
        let before = self.accepted.lock().len();
        eventually("publications are accepted", PATIENCE, || async {
            self.accepted.lock().len() >= before + count
        })
        .await;
    }

    /// What was accepted, and how many were not.
    async fn end(self) -> Result<(Accepted, u64)> {
        self.stop.send_replace(true);
        let refused = self.task.await?;
        let accepted = self.accepted.lock().clone();
        Ok((accepted, refused))
    }
}

/// Comes and goes, each time with the position that it had come to, and checks what it is told.
struct Returning {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Told>>,
}

/// What a returning client was told.
#[derive(Default)]
struct Told {
    seen: Accepted,
    /// From where to where it was told to have everything, by epoch.
    whole: Vec<(String, u64, u64)>,
    not_recovered: usize,
}

impl Returning {
    fn start(gateway: &Gateway, channel: &str) -> Self {
        let stop = watch::Sender::new(false);
        let (stopped, channel) = (stop.subscribe(), channel.to_owned());
        let endpoint = gateway.endpoint(Transport::WebSocket);
        let task = tokio::spawn(async move {
            let (mut told, mut position) = (Told::default(), None::<(String, u64)>);
            while !*stopped.borrow() {
                let token = token::connection("returning");
                let mut wire = Wire::connect(endpoint.clone(), &token).await?;
                let result = match &position {
                    Some((epoch, offset)) => wire.recover(&channel, *offset, epoch).await,
                    None => wire.subscribe(&channel).await,
                };
                // A shard in trouble is a temporary error: the position stays.
                let Ok(result) = result else { continue };
                let epoch = result["epoch"].as_str().context("an epoch")?.to_owned();
                let offset = result["offset"].as_u64().unwrap_or_default();
                let to = told.note(&result, position.take(), (&epoch, offset))?;
                position = Some((epoch, to));
                sleep(PACE).await;
            }
            Ok(told)
        });
        Self { stop, task }
    }

    async fn end(self) -> Result<Told> {
        self.stop.send_replace(true);
        self.task.await?
    }
}

impl Told {
    /// Notes what somebody who came back with a position, if any, is told: the offset that they have come to.
    fn note(
        &mut self,
        result: &Value,
        position: Option<(String, u64)>,
        (epoch, offset): (&str, u64),
    ) -> Result<u64> {
        let Some((before, from)) = position else {
            return Ok(offset);
        };
        if result["recovered"] != true {
            self.not_recovered += 1;
            return Ok(offset);
        }
        ensure!(before == epoch, "recovered from one epoch to another: {result}");
        let mut to = from;
        for publication in result["publications"].as_array().into_iter().flatten() {
            to += 1;
            ensure!(publication["offset"] == to, "a hole before {publication}");
            let number = publication["data"].as_u64().context("a number")?;
            self.seen.insert((before.clone(), to), number);
        }
        self.whole.push((before, from, to));
        Ok(to)
    }

    /// Whoever was told to have everything has everything that was accepted.
    fn check(&self, accepted: &Accepted) {
        for ((epoch, offset), number) in accepted {
            let promised = self
                .whole
                .iter()
                .any(|(of, from, to)| of == epoch && from < offset && offset <= to);
            if promised {
                let seen = self.seen.get(&(epoch.clone(), *offset));
                assert_eq!(seen, Some(number), "recovered, but without {epoch}/{offset}");
            }
        }
    }
}

/// A channel whose stream lies on the server at `port`, behind this gateway.
async fn channel_on(server: &RedisServer, gateway: &Gateway) -> Result<String> {
    for number in 0..200 {
        let channel = format!("stream:{number}");
        gateway.api().publish(&channel, &json!(0)).await?;
        let found: Vec<String> = server.command(&["KEYS", &format!("*:stream:{channel}")]).await?;
        if !found.is_empty() {
            return Ok(channel);
        }
    }
    anyhow::bail!("none of 200 channels lies there")
}

/// Comes back with a position: whether it is told to have everything.
async fn recovers(gateway: &Gateway, channel: &str, (epoch, offset): &(String, u64)) -> Result<bool> {
    let token = token::connection("reader");
    let mut wire = Wire::connect(gateway.endpoint(Transport::WebSocket), &token).await?;
    let result = wire.recover(channel, *offset, epoch).await?;
    assert_eq!(result["was_recovering"], true, "{result}");
    Ok(result["recovered"] == true)
}

/// How often a shard was given up.
async fn evictions(gateways: &[Gateway]) -> Result<u64> {
    let mut evictions = 0;
    for gateway in gateways {
        let metrics = gateway.metrics().await?;
        evictions += metrics.count("campanile_shard_evictions_total", &[]);
    }
    Ok(evictions)
}

/// Waits until publications are accepted again, and prints how long that was after the decision.
#[expect(clippy::print_stdout, reason = "a figure for whoever runs the test")]
async fn back_after(publisher: &Publisher, decided: Instant, what: &str) {
    publisher.goes_on(1).await;
    println!(
        "{what}: publications accepted {:?} after Sentinel's decision",
        decided.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_load_to_a_replica_that_lags_is_told_as_it_is() -> Result<()> {
    let mut pair = Pair::start().await?;
    let (other, store) = (RedisServer::start().await?, RedisServer::start().await?);
    let sentinels = Sentinels::start(3, &[pair.service("shard")], "").await?;
    let shards = json!([
        { "name": "watched", "url": sentinels.url("shard", PASSWORD) },
        { "name": "other", "url": other.url() },
    ]);
    let config = config(&shards, &store.url());
    let gateways = [Gateway::start(&config).await?, Gateway::start(&config).await?];
    let watched = channel_on(&pair.primary, &gateways[0]).await?;
    let unaffected = channel_on(&other, &gateways[0]).await?;
    let publisher = Publisher::start(gateways[0].api(), &watched);
    let elsewhere = Publisher::start(gateways[1].api(), &unaffected);
    let returning = Returning::start(&gateways[1], &watched);
    let endpoint = gateways[1].endpoint(Transport::WebSocket);
    let mut live = Wire::connect(endpoint, &token::connection("live")).await?;
    live.subscribe(&watched).await?;
    publisher.goes_on(20).await;

    let switch = sentinels.switch("shard").await?;
    pair.let_lag().await?;
    publisher.goes_on(20).await;
    let before = publisher.accepted();
    pair.primary.kill();
    let decided = timeout(PATIENCE, switch).await??;
    back_after(&publisher, decided, "a killed primary").await;
    publisher.goes_on(20).await;

    // Whoever was there is told to come back, once, and learns what it has missed: it is not told.
    let told = loop {
        let push = live.push_within(PATIENCE).await?;
        if let Some(told) = push.get("unsubscribe") {
            break told.clone();
        }
    };
    assert_eq!(told["code"], 2500, "{told}");
    let (_, last) = before
        .last_key_value()
        .map(|(key, _)| key.clone())
        .context("something accepted")?;
    let epoch = before
        .keys()
        .next()
        .map(|(epoch, _)| epoch.clone())
        .context("an epoch")?;
    for offset in [1, last / 2, last] {
        let position = (epoch.clone(), offset);
        assert!(
            !recovers(&gateways[0], &watched, &position).await?,
            "{position:?}"
        );
        assert!(
            !recovers(&gateways[1], &watched, &position).await?,
            "{position:?}"
        );
    }
    let (accepted, refused) = publisher.end().await?;
    let told = returning.end().await?;
    let (_, failed) = elsewhere.end().await?;
    assert!(refused > 0, "publishers are told while there is no primary");
    assert_eq!(failed, 0, "nobody else notices");
    assert!(told.not_recovered > 0, "whoever returns is told");
    told.check(&accepted);

    let kept = gateways[0].api().history(&watched).await?;
    let lost = before
        .values()
        .filter(|number| !kept.contains(&json!(number)))
        .count();
    assert!(lost > 0, "the replica lagged");
    let of_later: Vec<_> = accepted.iter().filter(|((of, _), _)| *of != epoch).collect();
    assert!(
        of_later.iter().all(|(_, number)| kept.contains(&json!(number))),
        "what came later is there"
    );
    let (since, _) = of_later.first().context("something was accepted later")?;
    assert!(
        recovers(&gateways[1], &watched, since).await?,
        "positions of the new epoch count"
    );
    assert_eq!(
        evictions(&gateways).await?,
        0,
        "a failover is no reason to give a shard up"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_lives_on_as_a_replica_is_left_and_the_store_follows_too() -> Result<()> {
    let (shard, store) = (Pair::start().await?, Pair::start().await?);
    let services = [shard.service("shard"), store.service("store")];
    let sentinels = Sentinels::start(3, &services, "").await?;
    let shards = json!([{ "name": "one", "url": sentinels.url("shard", PASSWORD) }]);
    let config = config(&shards, &sentinels.url("store", PASSWORD));
    let mut gateway = Gateway::start(&config).await?;
    let publisher = Publisher::start(gateway.api(), "stream:news");
    publisher.goes_on(5).await;

    let switch = sentinels.switch("shard").await?;
    sentinels
        .command::<()>(&["SENTINEL", "FAILOVER", "shard"])
        .await?;
    let decided = timeout(PATIENCE, switch).await??;
    back_after(&publisher, decided, "a demoted primary").await;
    assert_eq!(sentinels.primary("shard").await?, shard.replica.port());
    gateway.wait_until_ready().await;

    let switch = sentinels.switch("store").await?;
    sentinels
        .command::<()>(&["SENTINEL", "FAILOVER", "store"])
        .await?;
    timeout(PATIENCE, switch).await??;
    eventually("the topology is changed at the other store", PATIENCE, || async {
        let heavier = json!({ "name": "one", "weight": 2 });
        gateway
            .api()
            .try_call("shards/weight", &heavier)
            .await
            .is_ok_and(|it| it.is_ok())
    })
    .await;
    eventually(
        "the promoted store has what the gateway goes by",
        PATIENCE,
        || async {
            let words = ["HGET", "campanile:topology", "generation"];
            let stored: Result<u64> = store.replica.command(&words).await;
            let applied = gateway.ready().await.map(|(_, body)| body["generation"].as_u64());
            matches!((stored, applied), (Ok(stored), Ok(Some(applied))) if stored == applied)
        },
    )
    .await;
    let second = Gateway::start(&config).await?;
    second
        .api()
        .publish("stream:news", &json!("from another"))
        .await?;
    publisher.goes_on(20).await;
    let (accepted, _) = publisher.end().await?;
    let kept = gateway.api().history("stream:news").await?;
    let (latest, _) = accepted
        .iter()
        .max_by_key(|(_, number)| **number)
        .context("something")?;
    let of_latest: Vec<_> = accepted
        .iter()
        .filter(|((epoch, _), _)| *epoch == latest.0)
        .collect();
    assert!(of_latest.iter().all(|(_, number)| kept.contains(&json!(number))));
    assert_eq!(evictions(std::slice::from_ref(&gateway)).await?, 0);
    Ok(())
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
