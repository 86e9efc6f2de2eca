//! What only a Redis server can be configured to, or suffer.

use std::path::PathBuf;
use std::time::Duration;

use campanile_shard_router::fence::FenceCommand::{Abort, Admit, Migrate, Reopen};
use campanile_shard_router::fence::FenceReply;
use campanile_shard_router::redis::RedisShardConfig;
use campanile_shard_router::shard::{
    IdempotencyKey, PresenceEntry, PublishRequest, ShardError, ShardOptions, ShardStatus,
};
use campanile_shard_router::topology::{DeploymentId, Generation};

use crate::gateway::{ALL, Channel, channels_apart, eventually, info};
use crate::redis_server::RedisServer;
use crate::world::{RedisWorld, World, options};

type Command = &'static [&'static str];

fn key(channel: &Channel, kind: &str) -> String {
    format!("campanile:{{{}}}:{kind}", channel.partition)
}

fn requests(gateway: &crate::gateway::Gateway, labels: &[&str]) -> u64 {
    gateway
        .counters
        .labelled("campanile_shard_requests_total", labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_reported_without_repeating_it() {
    let world = RedisWorld::start();
    world.command::<()>(&["CONFIG", "SET", "requirepass", "rightsecret"]);
    for credentials in ["", ":wrongsecret@", "nobody:wrongsecret@"] {
        let url = format!("redis://{credentials}127.0.0.1:{}", world.server.port());
        let gateway = RedisWorld::gateway_at(RedisShardConfig::new(&url));
        let error = gateway.shard.probe().await.unwrap_err();
        assert!(matches!(error, ShardError::Unavailable(_)), "{error}");
        gateway
            .status_becomes(
                |status| matches!(status, ShardStatus::Unreachable(why) if why != "not connected yet"),
            )
            .await;
        let words = format!("{error} {error:?} {:?}", gateway.shard.status());
        assert!(!words.contains("secret"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_password_and_database_come_from_the_url() {
    let world = RedisWorld::start();
    world.command::<()>(&[
        "ACL",
        "SETUSER",
        "cam",
        "on",
        ">pass word",
        "~campanile:*",
        "&campanile:*",
        "+@all",
    ]);
    world.command::<()>(&["ACL", "SETUSER", "default", "-@write"]);
    let url = format!("redis://cam:pass%20word@127.0.0.1:{}/3", world.server.port());
    let gateway = RedisWorld::gateway_at(RedisShardConfig::new(&url));
    let channel = Channel::new("mine");
    gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    gateway.append(&channel, "x").await;
    gateway.events.until(|told| told.len() >= 2).await;
    let keyspace: String = world.command(&["INFO", "keyspace"]);
    assert!(
        keyspace.contains("db3:") && !keyspace.contains("db0:"),
        "{keyspace}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_deployments_apart() {
    let world = RedisWorld::start();
    let config = |prefix: &str| RedisShardConfig {
        prefix: prefix.to_owned(),
        ..RedisShardConfig::new(&world.server.url())
    };
    let channel = Channel::new("shared name");
    // Not made of harmless letters: the pattern of a scan must take them as they are.
    let [one, two] = ["one[*]", "one"].map(|prefix| RedisWorld::gateway_at(config(prefix)));
    for gateway in [&one, &two] {
        gateway.open_for(&channel).await;
        gateway.subscribe(&channel).await;
    }
    one.append(&channel, "from one").await;
    two.append(&channel, "from two").await;
    one.events.until(|told| told.len() >= 2).await;
    two.events.until(|told| told.len() >= 2).await;
    assert_eq!(one.events.payloads(&channel.name), ["from one"]);
    assert_eq!(two.events.payloads(&channel.name), ["from two"]);
    let run = one.trust_present_run().await;
    let (generation, token) = (Generation(2), campanile_shard_router::topology::Token(2));
    let fresh = campanile_shard_router::fence::FenceCommand::Fresh {
        generation,
        token,
        unless_open: None,
    };
    one.fence(&run, channel.partition, fresh).await;
    one.shard
        .wipe(&run, vec![channel.partition], generation, token)
        .await
        .unwrap();
    let left: Vec<String> = world.command(&["KEYS", "one\\[*:stream:*"]);
    assert_eq!(left, Vec::<String>::new(), "wiped");
    assert_eq!(two.content(&channel).await.1, ["from two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_publications_and_can_still_be_fenced() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("full");
    let run = gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    gateway.append(&channel, "before").await;
    world.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let keyed = || PublishRequest {
        idempotency: Some(IdempotencyKey {
            key: "k".to_owned(),
            ttl: Duration::from_secs(60),
        }),
        ..channel.request("refused")
    };
    let answer = gateway.shard.publish(channel.partition, keyed()).await;
    assert!(
        matches!(&answer, Err(ShardError::Refused(words)) if words.starts_with("OOM")),
        "{answer:?}"
    );
    assert!(requests(&gateway, &["publish", "refused"]) == 1);
    let fan_out = PublishRequest {
        stream: None,
        ..channel.request("fanned out")
    };
    gateway.shard.publish(channel.partition, fan_out).await.unwrap();

    let generation = Generation(2);
    let admit = Admit {
        generation,
        keep_epochs: true,
    };
    assert_eq!(
        gateway.fence(&run, channel.partition, admit).await,
        FenceReply::Done
    );
    assert_eq!(
        gateway
            .fence(&run, channel.partition, Reopen { generation })
            .await,
        FenceReply::Done
    );
    world.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    gateway.shard.publish(channel.partition, keyed()).await.unwrap();
    assert_eq!(
        gateway.content(&channel).await.1,
        ["before", "refused"],
        "nothing of the refused one was done"
    );
    gateway.events.until(|told| told.len() >= 5).await;
    assert_eq!(
        gateway.events.payloads(&channel.name),
        ["before", "fanned out", "refused"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_replica_refuses() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("replicated");
    let run = gateway.open_for(&channel).await;
    // A primary that is not there: the data stays, writing ends.
    world.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    let answer = gateway.publish(&channel, "x").await;
    assert!(
        matches!(&answer, Err(error) if error.had_no_effect()),
        "{answer:?}"
    );
    gateway
        .status_becomes(|status| matches!(status, ShardStatus::Unreachable(why) if why.contains("replica")))
        .await;
    let commands = vec![(
        channel.partition,
        Admit {
            generation: Generation(2),
            keep_epochs: true,
        },
    )];
    let fenced = gateway.shard.fence(&run, commands).await;
    assert!(matches!(fenced, Err(ShardError::Unavailable(_))), "{fenced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_a_replica_meanwhile_is_another_run() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("demoted");
    let run = gateway.open_for(&channel).await;
    let other = RedisServer::start();
    world.command::<()>(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    let replication_says = |words: &'static str| {
        let info: String = world.command(&["INFO", "replication"]);
        std::future::ready(info.contains(words).then_some(()))
    };
    eventually(|| replication_says("master_link_status:up")).await;
    world.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    let probe = gateway.shard.probe().await.unwrap();
    assert_ne!(probe.incarnation, run);
    assert!(probe.promoted);
    let untrusted = ShardStatus::Untrusted(probe.incarnation);
    gateway.status_becomes(|status| *status == untrusted).await;
    // A replica of its own changes nothing.
    let before = gateway.shard.probe().await.unwrap();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &world.server.port().to_string()]);
    eventually(|| replication_says("state=online")).await;
    assert_eq!(gateway.shard.probe().await.unwrap(), before);
    drop(replica);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_the_server_forgot_are_loaded_again() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("scripted");
    gateway.open_for(&channel).await;
    gateway.append(&channel, "1").await;
    world.command::<()>(&["SCRIPT", "FLUSH"]);
    let answers: Vec<_> = (2..50)
        .map(|number| {
            gateway
                .shard
                .publish(channel.partition, channel.request(&number.to_string()))
        })
        .collect();
    for (answer, number) in answers.into_iter().zip(2..) {
        assert_eq!(answer.await.unwrap().position.unwrap().offset.0, number);
    }
    assert_eq!(gateway.counters.get("campanile_shard_reconnects_total"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_skipped_and_counted() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("mixed");
    gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    gateway.append(&channel, "1").await;
    // What a newer release might write: version 2 of an envelope.
    let (stream, meta, topic) = (
        key(&channel, "stream:mixed"),
        key(&channel, "meta:mixed"),
        key(&channel, "pub:mixed"),
    );
    world.command::<()>(&["XADD", &stream, "2-0", "p", "\u{14}\u{2}"]);
    world.command::<()>(&["HSET", &meta, "o", "2"]);
    for garbage in ["", "2 1 e", "x", "0 0 ", "18446744073709551616 0 ", "2 99 e"] {
        world.command::<()>(&["PUBLISH", &topic, garbage]);
    }
    for garbage in ["", "news from a later release", "sealed 5000 1", "sealed 1"] {
        world.command::<()>(&["PUBLISH", "campanile:control", garbage]);
    }
    gateway.append(&channel, "3").await;
    let page = gateway.history(&channel, ALL).await.unwrap();
    let offsets: Vec<_> = page
        .publications
        .iter()
        .map(|publication| publication.offset.0)
        .collect();
    assert_eq!((offsets, page.position.offset.0), (vec![1, 3], 3));
    gateway.events.until(|told| told.len() >= 3).await;
    assert_eq!(gateway.events.payloads(&channel.name), ["1", "3"]);
    assert_eq!(
        gateway.counters.get("campanile_shard_undecodable_total"),
        1 + 6 + 4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_noted_under_the_number_of_their_last_change() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("moving");
    let run = gateway.open_for(&channel).await;
    let generation = Generation(2);
    gateway
        .fence(&run, channel.partition, Migrate { generation })
        .await;
    let request = PublishRequest {
        idempotency: Some(IdempotencyKey {
            key: "k".to_owned(),
            ttl: Duration::from_secs(60),
        }),
        ..channel.request("x")
    };
    gateway.shard.publish(channel.partition, request).await.unwrap();
    gateway.append(&channel, "y").await;
    let dirty = key(&channel, "dirty");
    let noted: Vec<(String, u64)> = world.command(&["ZRANGE", &dirty, "0", "-1", "WITHSCORES"]);
    let expected = [("idem:6:moving:k", 3), ("stream:moving", 4), ("meta:moving", 5)];
    assert_eq!(noted, expected.map(|(name, number)| (name.to_owned(), number)));
    let last: u64 = world.command(&["HGET", &key(&channel, "owner"), "d"]);
    assert_eq!(last, 5);

    // The move is abandoned: the notes would stay for ever.
    let abort = Abort {
        generation: Generation(3),
        moving: generation,
    };
    gateway.fence(&run, channel.partition, abort).await;
    let left: u64 = world.command(&["EXISTS", &dirty]);
    let counted: u64 = world.command(&["HEXISTS", &key(&channel, "owner"), "d"]);
    assert_eq!((left, counted), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_has_an_end_but_the_records() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("ending");
    let run = gateway.open_for(&channel).await;
    gateway
        .shard
        .note_admitted(&run, Generation(1), DeploymentId(1))
        .await
        .unwrap();
    let idempotency = Some(IdempotencyKey {
        key: "k".to_owned(),
        ttl: Duration::from_secs(60),
    });
    let request = PublishRequest {
        idempotency,
        ..channel.request("x")
    };
    gateway.shard.publish(channel.partition, request).await.unwrap();
    let ttl = Duration::from_secs(60);
    let entry = PresenceEntry {
        partition: channel.partition,
        channel: channel.name.clone(),
        info: info("c").into(),
        ttl,
    };
    gateway.shard.refresh_presence(vec![entry]).await.unwrap();
    let keys: Vec<String> = world.command(&["KEYS", "*"]);
    assert_eq!(keys.len(), 3 + 5, "{keys:?}");
    for name in keys {
        let notes = ["campanile:admitted", "campanile:deployment"];
        let record = name == key(&channel, "owner") || notes.contains(&name.as_str());
        let ttl: i64 = world.command(&["PTTL", &name]);
        assert_eq!(ttl < 0, record, "{name}: {ttl}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_in_requests() {
    let world = RedisWorld::start();
    let gateway = world.gateway_with(ShardOptions {
        lanes: 1,
        queue_requests: 8,
        ..options()
    });
    let channel = Channel::new("queued");
    gateway.open_for(&channel).await;
    world.pause();
    let answers: Vec<_> = (0..400)
        .map(|_| gateway.shard.publish(channel.partition, channel.request("x")))
        .collect();
    world.resume();
    let (mut done, mut overloaded) = (0, 0);
    for answer in answers {
        match answer.await {
            Ok(_) => done += 1,
            Err(ShardError::Overloaded) => overloaded += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(done >= 8 && overloaded > 0, "{done} done, {overloaded} refused");
    assert_eq!(requests(&gateway, &["publish", "overloaded"]), overloaded);
    assert_eq!(
        gateway.append(&channel, "last").await.offset.0,
        done + 1,
        "what was refused was not done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_in_bytes() {
    let world = RedisWorld::start();
    let gateway = world.gateway_with(ShardOptions {
        lanes: 1,
        queue_bytes: 10_000,
        ..options()
    });
    let channel = Channel::new("queued");
    gateway.open_for(&channel).await;
    let huge = "x".repeat(50_000);
    gateway.append(&channel, &huge).await;
    world.pause();
    let large = "x".repeat(4_000);
    let answers: Vec<_> = (0..5)
        .map(|_| gateway.shard.publish(channel.partition, channel.request(&large)))
        .collect();
    world.resume();
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.is_ok());
    }
    assert_eq!(results, [true, true, false, false, false]);
    gateway.append(&channel, &huge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_command_connection_is_made_anew_and_counted() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channels = channels_apart(4);
    gateway
        .open(channels.iter().map(|channel| channel.partition))
        .await;
    world.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    gateway
        .status_becomes(|_| {
            gateway
                .counters
                .labelled("campanile_shard_reconnects_total", &["commands"])
                == 2
        })
        .await;
    gateway.connected().await;
    for channel in &channels {
        gateway.append(channel, "x").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_trusts_the_given_authority_and_no_other() {
    let file = |name: &str| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conformance/tls")
            .join(name)
    };
    let path = |name: &str| file(name).to_string_lossy().into_owned();
    let plain = RedisWorld::start();
    let settings: [(&str, &str); 3] = [
        ("tls-cert-file", &path("server.pem")),
        ("tls-key-file", &path("server.key")),
        ("tls-auth-clients", "no"),
    ];
    for (name, value) in settings {
        plain.command::<()>(&["CONFIG", "SET", name, value]);
    }
    let takes = |port: &String| {
        plain
            .try_command::<()>(&["CONFIG", "SET", "tls-port", port])
            .is_ok()
    };
    let mut ports = (1..100).map(|step| (plain.server.port() + step).to_string());
    let port = ports.find(takes).expect("one of the next ports is free");
    let config = |host: &str, authority: Option<&str>| RedisShardConfig {
        ca_file: authority.map(file),
        ..RedisShardConfig::new(&format!("rediss://{host}:{port}"))
    };
    let channel = Channel::new("secret");
    plain.gateway().open_for(&channel).await;
    for host in ["localhost", "127.0.0.1"] {
        let gateway = RedisWorld::gateway_at(config(host, Some("ca.pem")));
        gateway.trust_present_run().await;
        gateway.subscribe(&channel).await;
        gateway.append(&channel, "x").await;
    }
    for authority in [Some("other-ca.pem"), None] {
        let gateway = RedisWorld::gateway_at(config("localhost", authority));
        let error = gateway.shard.probe().await.unwrap_err();
        assert!(matches!(error, ShardError::Unavailable(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_needed_command_is_refused_in_its_words() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("forbidden");
    gateway.open_for(&channel).await;
    let forbidding: Command = &["ACL", "SETUSER", "default", "-evalsha"];
    world.command::<()>(forbidding);
    let answer = gateway.publish(&channel, "x").await;
    assert!(
        matches!(&answer, Err(ShardError::Refused(words)) if words.starts_with("NOPERM")),
        "{answer:?}"
    );
}
