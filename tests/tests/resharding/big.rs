//! Large streams and large presence sets move whole, and no server is kept busy by it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use campanile_common::ChannelName;
use campanile_shard_router::partition::Partition;
use campanile_tests::puppet::Sdk;
use campanile_tests::redis::RedisServer;
use campanile_tests::wait::eventually;
use serde_json::json;

use crate::load::{Load, Pace};
use crate::world::{MOVED, World, owner};

/// Publications in the stream before anything moves.
const ENTRIES: u64 = 100_000;
/// Members of the presence set.
const MEMBERS: usize = 20_000;
/// How often they are moved away and back.
const ROUNDS: usize = 3;
/// From how many microseconds on a server notes a command as slow.
const SLOW: &str = "20000";
/// The shard with few partitions, whose draining is quickly done.
const LIGHT: &str = "redis-2";

const BUSY: Pace = Pace {
    rate: 100,
    keyed: false,
};

/// The id, the time, the duration in microseconds, the words, the client's address and its name.
type SlowEntry = (i64, i64, i64, Vec<Vec<u8>>, Vec<u8>, Vec<u8>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_stream_and_a_large_presence_set_move_whole() -> Result<()> {
    let cluster = World::cluster(0)
        .shard(Default::default(), json!({ "weight": 50 }))
        .shard(Default::default(), json!({ "weight": 1 }))
        .set("client.recovery_max_publication_limit", 50_000)
        .namespace(
            "long",
            &json!({
                "history_size": 1_000_000, "history_ttl": "3600s", "force_recovery": true,
                "force_positioning": true, "allow_subscribe_for_client": true,
            }),
        )
        .namespace(
            "crowd",
            &json!({ "presence": true, "allow_subscribe_for_client": true }),
        );
    let mut world = World::start(cluster, 0).await?;
    let topology = world.topology().await?;
    let on_light = |namespace: &str| {
        let mut names = (0..).map(|index| format!("{namespace}:{index}"));
        names
            .find(|name| owner(&topology, name) == LIGHT)
            .context("endless")
    };
    let (long, crowd) = (on_light("long")?, on_light("crowd")?);
    fill_stream(&world, &long).await?;
    let both = vec![long.clone(), crowd.clone()];
    world.watchers.clear();
    for (index, sdk) in [Sdk::JsJson, Sdk::JsProtobuf].into_iter().enumerate() {
        let watcher = world.watch(&format!("{sdk:?}"), sdk, index, both.clone()).await?;
        world.watchers.push(watcher);
    }
    let members = fill_presence(&world, &crowd).await?;
    (world.streams, world.plain) = (vec![long.clone()], vec![crowd.clone()]);
    let load = world.publish(BUSY);
    world.round(&load).await;
    let away = world
        .watch("away", Sdk::PythonJson, 2, vec![long.clone()])
        .await?;
    world.round(&load).await;
    away.leave().await?;
    away.forget().await?;

    let mut slow = Vec::new();
    for _ in 0..ROUNDS {
        slow.extend(there_and_back(&world, &load, &both).await?);
    }
    // The log counts the time in which a busy machine runs something else. But a command that is too large is so each time.
    assert!(slow.len() > 1, "they have moved {} times", slow.len());
    let each_time = slow.iter().skip(1).fold(slow[0].clone(), |all, it| &all & it);
    assert!(each_time.is_empty(), "{each_time:#?}");

    let books = world.settle(load).await;
    assert_eq!(books.refusals, 0, "{:?}", books.errors);
    world.nobody_noticed().await?;
    is_whole(&world, &long, ENTRIES + books.accepted[&long]).await?;
    assert_eq!(members_of(&world, &crowd).await?, members);
    let present = world.apis()[2].presence(&crowd).await?;
    assert_eq!(present.len(), MEMBERS + world.watchers.len());
    let report = away.come_back().await?;
    away.arrived(&books.accepted).await;
    assert!(report.channels("recovered").contains(&long), "{report:?}");
    assert!(report.channels("wrong").is_empty(), "{report:?}");
    world.print_pauses().await;
    Ok(())
}

/// Empties the light shard and uses it again. What the servers found slow, each time that both have moved.
async fn there_and_back(world: &World, load: &Load, both: &[String]) -> Result<Vec<BTreeSet<String>>> {
    let mut slow = Vec::new();
    for undo in [false, true] {
        let before = world.topology().await?;
        for server in &world.cluster.shards {
            server
                .command::<()>(&["CONFIG", "SET", "slowlog-log-slower-than", SLOW])
                .await?;
            server.command::<()>(&["SLOWLOG", "RESET"]).await?;
        }
        world.ask("drain", json!({ "name": LIGHT, "undo": undo })).await?;
        world.moved().await;
        // Cleaning is part of it.
        eventually("the source is cleaned", MOVED, || async {
            world.topology().await.is_ok_and(|it| it.cleaning.is_empty())
        })
        .await;
        let after = world.topology().await?;
        if both.iter().all(|it| owner(&before, it) != owner(&after, it)) {
            slow.push(slow_commands(world).await?);
        }
        world.round(load).await;
    }
    Ok(slow)
}

/// The commands that the servers found slow. Without generation and token, so that the same work has the same words.
async fn slow_commands(world: &World) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for server in &world.cluster.shards {
        let entries: Vec<SlowEntry> = server.command(&["SLOWLOG", "GET", "1000"]).await?;
        for (_, _, _, words, ..) in entries {
            let mut words: Vec<String> = words
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            let keys: usize = words
                .get(2)
                .and_then(|keys| keys.parse().ok())
                .unwrap_or_default();
            if words[0] == "EVALSHA" && words.len() >= keys + 5 {
                words.drain(keys + 3..keys + 5);
            }
            found.insert(words.join(" "));
        }
    }
    Ok(found)
}

/// Publishes so much that the stream is a large one. These have the number 0.
async fn fill_stream(world: &World, channel: &str) -> Result<()> {
    const BATCH: u64 = 1000;
    let publish = json!({ "publish": { "channel": channel, "data": { "n": 0, "text": "x".repeat(40) } } });
    let commands = vec![publish; usize::try_from(BATCH)?];
    let batch = json!({ "commands": commands, "parallel": true });
    let apis = world.apis();
    let fill = |index: usize| {
        let (api, batch) = (apis[index].clone(), batch.clone());
        async move {
            for _ in 0..ENTRIES / BATCH / 2 {
                let answer = api.call("batch", &batch).await?;
                let replies = answer["replies"].as_array().context("replies")?;
                let refused = replies.iter().find(|reply| reply.get("error").is_some());
                anyhow::ensure!(refused.is_none(), "{refused:?}");
            }
            Ok(())
        }
    };
    tokio::try_join!(fill(0), fill(1)).map(drop)
}

/// Gives the members that are there many companions, written as theirs are: one connection each would be too many for a
/// test. They stay for an hour.
async fn fill_presence(world: &World, channel: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    const SCRIPT: &str = "local envelope = redis.call('HVALS', KEYS[1])[1] \
         local time = redis.call('TIME') \
         for index = 1, tonumber(ARGV[1]) do \
           redis.call('HSET', KEYS[1], 'member-' .. index, envelope) \
           redis.call('ZADD', KEYS[2], (time[1] + 3600) * 1000, 'member-' .. index) \
         end \
         redis.call('PEXPIRE', KEYS[1], 3600000) redis.call('PEXPIRE', KEYS[2], 3600000)";
    let (server, [members, expiry]) = (server_of(world, channel).await?, presence_keys(channel)?);
    eventually("a member is there", MOVED, || async {
        server
            .command::<i64>(&["HLEN", &members])
            .await
            .is_ok_and(|it| it > 0)
    })
    .await;
    let count = MEMBERS.to_string();
    server
        .command::<Option<i64>>(&["EVAL", SCRIPT, "2", &members, &expiry, &count])
        .await?;
    let filled = members_of(world, channel).await?;
    assert_eq!(filled.len(), MEMBERS);
    Ok(filled)
}

/// The companions, as the owner of the channel has them.
async fn members_of(world: &World, channel: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let (server, [members, expiry]) = (server_of(world, channel).await?, presence_keys(channel)?);
    let mut found: BTreeMap<String, Vec<u8>> = server.command(&["HGETALL", &members]).await?;
    let expiring: BTreeMap<String, f64> = server
        .command(&["ZRANGE", &expiry, "0", "-1", "WITHSCORES"])
        .await?;
    found.retain(|client, _| client.starts_with("member-") && expiring.contains_key(client));
    Ok(found)
}

/// The stream has all of its `count` publications, each in its place.
async fn is_whole(world: &World, channel: &str, count: u64) -> Result<()> {
    let server = server_of(world, channel).await?;
    let key = format!("campanile:{{{}}}:stream:{channel}", partition(channel)?);
    assert_eq!(server.command::<u64>(&["XLEN", &key]).await?, count);
    let api = world.apis().remove(0);
    let top = api
        .call("history", &json!({ "channel": channel, "limit": 0 }))
        .await?;
    assert_eq!(top["offset"], count, "{top}");
    let mut next = 1;
    while next <= count {
        let since = json!({ "offset": next - 1, "epoch": top["epoch"] });
        let page = api
            .call(
                "history",
                &json!({ "channel": channel, "limit": 10_000, "since": since }),
            )
            .await?;
        let publications = page["publications"].as_array().context("publications")?;
        assert!(!publications.is_empty(), "nothing from {next} on");
        for publication in publications {
            assert_eq!(publication["offset"], next);
            next += 1;
        }
    }
    Ok(())
}

/// The Redis that has the channel now.
async fn server_of<'a>(world: &'a World, channel: &str) -> Result<&'a RedisServer> {
    let light = owner(&world.topology().await?, channel) == LIGHT;
    Ok(&world.cluster.shards[usize::from(light)])
}

fn presence_keys(channel: &str) -> Result<[String; 2]> {
    let partition = partition(channel)?;
    Ok(["presence", "expiry"].map(|kind| format!("campanile:{{{partition}}}:{kind}:{channel}")))
}

fn partition(channel: &str) -> Result<Partition> {
    Ok(Partition::of(&ChannelName::parse(channel, 255)?))
}
