//! `recovered` is true when, and only when, the client was given everything that it had missed.
//!
//! Each test lets a subscriber go away, breaks something or nothing, lets the world go on publishing or not, and lets the
//! subscriber return with its position.

use std::path::Path;

use anyhow::{Context as _, Result};
use campanile_shard_router::partition::Partition;
use campanile_tests::balancer::Balancer;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

over_each_transport!(
    with_nothing_lost_everything_missed_is_given,
    trimmed_past_the_position_is_not_recovered,
    an_unknown_epoch_is_not_recovered,
    a_position_beyond_the_top_is_not_recovered,
    a_flushed_shard_is_not_recovered,
    a_shard_that_lost_its_last_writes_is_not_recovered,
    a_durable_shard_that_was_restarted_whole_is_recovered,
    a_durable_shard_that_came_back_empty_is_not_recovered,
    a_replica_promoted_while_lagging_is_not_recovered,
);

const CHANNEL: &str = "stream:news";

/// What a subscriber brings back: how far it came, in which epoch.
#[derive(Debug, Clone)]
struct Position {
    offset: u64,
    epoch: String,
}

/// What it is told.
#[derive(Debug, PartialEq)]
struct Return {
    recovered: bool,
    data: Vec<Value>,
}

fn options(history_size: u32) -> Value {
    json!({
        "history_size": history_size,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    })
}

/// One gateway on one shard.
async fn cluster(redis: RedisOptions, shard: Value) -> Result<Cluster> {
    Cluster::builder()
        .shard(redis, shard)
        .gateways(1)
        .namespace("stream", &options(100))
        .start()
        .await
}

async fn publish(gateway: &Gateway, numbers: std::ops::Range<u64>) -> Result<()> {
    for number in numbers {
        gateway.api().publish(CHANNEL, &json!(number)).await?;
    }
    Ok(())
}

/// Waits until the gateway publishes again, to a channel that nobody looks at, which goes the same way, and all of the shard
/// is open again.
async fn publishes_again(gateway: &Gateway) {
    let mut others = (0..).map(|number| format!("stream:other-{number}"));
    let other = others.find(|name| Partition::of(name) == Partition::of(CHANNEL));
    let params = json!({ "channel": other, "data": {} });
    eventually("the gateway publishes again", SOON, || async {
        let published = matches!(gateway.api().try_call("publish", &params).await, Ok(Ok(_)));
        published && gateway.ready().await.is_ok_and(|(ready, _)| ready)
    })
    .await;
}

/// Subscribes, sees `count` publications numbered from 0, and goes away.
async fn watch_and_leave(gateway: &Gateway, transport: Transport, count: u64) -> Result<Position> {
    let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection("reader")).await?;
    let subscribed = wire.subscribe(CHANNEL).await?;
    let mut offset = subscribed["offset"].as_u64().unwrap_or_default();
    let epoch = subscribed["epoch"].as_str().context("an epoch")?.to_owned();
    publish(gateway, 0..count).await?;
    for number in 0..count {
        let (_, publication) = wire.publication().await?;
        assert_eq!(publication["data"], number);
        offset = publication["offset"].as_u64().context("an offset")?;
    }
    leave(gateway, wire).await;
    Ok(Position { offset, epoch })
}

/// Goes away, and waits until the gateway has seen it: as long as somebody is subscribed, the gateway keeps publications of
/// its own, more perhaps than the shard does.
async fn leave(gateway: &Gateway, wire: Wire) {
    drop(wire);
    let api = gateway.api();
    eventually("the gateway has nobody in the channel", SOON, || async {
        let channels = api.call("channels", &json!({ "pattern": CHANNEL })).await;
        channels.is_ok_and(|it| it["channels"] == json!({}))
    })
    .await;
}

/// Comes back with a position, and goes away again. It comes again if it is told that the shard is in trouble, which is no word
/// about its position: after a restart the gateway's connections are back one after the other.
async fn come_back(gateway: &Gateway, transport: Transport, position: &Position) -> Result<Return> {
    let (endpoint, token) = (gateway.endpoint(transport), token::connection("reader"));
    let (wire, result) = until("whoever comes back is answered", SOON, || async {
        let mut wire = Wire::connect(endpoint.clone(), &token).await.ok()?;
        let result = wire.recover(CHANNEL, position.offset, &position.epoch).await;
        Some((wire, result.ok()?))
    })
    .await;
    assert_eq!(result["was_recovering"], true, "{result}");
    leave(gateway, wire).await;
    let publications = result["publications"].as_array().cloned().unwrap_or_default();
    Ok(Return {
        recovered: result["recovered"].as_bool().unwrap_or(false),
        data: publications
            .into_iter()
            .map(|publication| publication["data"].clone())
            .collect(),
    })
}

fn recovered(numbers: std::ops::Range<u64>) -> Return {
    Return {
        recovered: true,
        data: numbers.map(|number| json!(number)).collect(),
    }
}

async fn with_nothing_lost_everything_missed_is_given(transport: Transport) -> Result<()> {
    let cluster = cluster(RedisOptions::default(), json!({})).await?;
    let gateway = &cluster.gateways[0];
    let position = watch_and_leave(gateway, transport, 3).await?;
    assert_eq!(
        come_back(gateway, transport, &position).await?,
        recovered(0..0),
        "nothing was missed"
    );
    publish(gateway, 3..10).await?;
    assert_eq!(come_back(gateway, transport, &position).await?, recovered(3..10));
    Ok(())
}

async fn trimmed_past_the_position_is_not_recovered(transport: Transport) -> Result<()> {
    let cluster = Cluster::builder()
        .shards(1)
        .gateways(1)
        .namespace("stream", &options(5))
        .start()
        .await?;
    let gateway = &cluster.gateways[0];
    let position = watch_and_leave(gateway, transport, 3).await?;
    publish(gateway, 3..8).await?;
    assert_eq!(
        come_back(gateway, transport, &position).await?,
        recovered(3..8),
        "the five that are kept are all"
    );
    publish(gateway, 8..9).await?;
    assert!(
        !come_back(gateway, transport, &position).await?.recovered,
        "one of six is gone"
    );
    Ok(())
}

async fn an_unknown_epoch_is_not_recovered(transport: Transport) -> Result<()> {
    let cluster = cluster(RedisOptions::default(), json!({})).await?;
    let gateway = &cluster.gateways[0];
    let position = watch_and_leave(gateway, transport, 3).await?;
    for epoch in ["", "another", &format!("{}x", position.epoch)] {
        let stranger = Position {
            epoch: epoch.to_owned(),
            ..position.clone()
        };
        assert!(
            !come_back(gateway, transport, &stranger).await?.recovered,
            "epoch {epoch:?}"
        );
    }
    Ok(())
}

async fn a_position_beyond_the_top_is_not_recovered(transport: Transport) -> Result<()> {
    let cluster = cluster(RedisOptions::default(), json!({})).await?;
    let gateway = &cluster.gateways[0];
    let position = watch_and_leave(gateway, transport, 3).await?;
    let ahead = Position {
        offset: position.offset + 1,
        ..position
    };
    assert!(!come_back(gateway, transport, &ahead).await?.recovered);
    // Reaching that offset later does not make it a position that was ever held.
    publish(gateway, 3..4).await?;
    let further = Position {
        offset: ahead.offset + 1,
        ..ahead
    };
    assert!(!come_back(gateway, transport, &further).await?.recovered);
    Ok(())
}

async fn a_flushed_shard_is_not_recovered(transport: Transport) -> Result<()> {
    let cluster = cluster(RedisOptions::default(), json!({})).await?;
    let gateway = &cluster.gateways[0];
    let position = watch_and_leave(gateway, transport, 3).await?;
    cluster.shards[0].flush().await?;
    publishes_again(gateway).await;
    assert!(!come_back(gateway, transport, &position).await?.recovered);
    // Nor when as many publications as before, and more, have come since.
    publish(gateway, 100..110).await?;
    assert!(!come_back(gateway, transport, &position).await?.recovered);
    Ok(())
}

async fn a_shard_that_lost_its_last_writes_is_not_recovered(transport: Transport) -> Result<()> {
    let options = RedisOptions {
        append_only: Some("always"),
        ..RedisOptions::default()
    };
    let mut cluster = cluster(options, json!({})).await?;
    let early = watch_and_leave(&cluster.gateways[0], transport, 3).await?;
    let backup = tempfile::tempdir()?;
    let files = cluster.shards[0].dir().join("appendonlydir");
    copy(&files, backup.path())?;
    publish(&cluster.gateways[0], 3..6).await?;
    let late = Position {
        offset: early.offset + 3,
        ..early.clone()
    };
    assert!(
        come_back(&cluster.gateways[0], transport, &late).await?.recovered,
        "before the fault"
    );

    // The file as it was three publications ago: what `appendfsync everysec` may leave.
    cluster.shards[0].kill();
    std::fs::remove_dir_all(&files)?;
    copy(backup.path(), &files)?;
    cluster.shards[0].restart().await?;
    let gateway = &cluster.gateways[0];
    publishes_again(gateway).await;
    let left = gateway.api().history(CHANNEL).await?;
    assert!(!left.contains(&json!(5)), "the last writes are lost: {left:?}");

    // Nobody can tell from the shard's own data that anything is missing, so both learn the worst.
    assert!(!come_back(gateway, transport, &early).await?.recovered);
    assert!(!come_back(gateway, transport, &late).await?.recovered);
    publish(gateway, 100..110).await?;
    assert!(!come_back(gateway, transport, &early).await?.recovered);
    assert!(!come_back(gateway, transport, &late).await?.recovered);
    Ok(())
}

async fn a_durable_shard_that_was_restarted_whole_is_recovered(transport: Transport) -> Result<()> {
    let options = RedisOptions {
        append_only: Some("always"),
        ..RedisOptions::default()
    };
    let mut cluster = cluster(options, json!({ "durable": true })).await?;
    let position = watch_and_leave(&cluster.gateways[0], transport, 3).await?;
    publish(&cluster.gateways[0], 3..6).await?;
    cluster.shards[0].kill();
    cluster.shards[0].restart().await?;
    let gateway = &cluster.gateways[0];
    publishes_again(gateway).await;
    assert_eq!(come_back(gateway, transport, &position).await?, recovered(3..6));
    publish(gateway, 6..10).await?;
    assert_eq!(come_back(gateway, transport, &position).await?, recovered(3..10));
    Ok(())
}

async fn a_durable_shard_that_came_back_empty_is_not_recovered(transport: Transport) -> Result<()> {
    let mut cluster = cluster(RedisOptions::default(), json!({ "durable": true })).await?;
    let position = watch_and_leave(&cluster.gateways[0], transport, 3).await?;
    cluster.shards[0].kill();
    cluster.shards[0].restart().await?;
    let gateway = &cluster.gateways[0];
    publishes_again(gateway).await;
    assert!(!come_back(gateway, transport, &position).await?.recovered);
    publish(gateway, 100..110).await?;
    assert!(!come_back(gateway, transport, &position).await?.recovered);
    Ok(())
}

async fn a_replica_promoted_while_lagging_is_not_recovered(transport: Transport) -> Result<()> {
    let store = RedisServer::start().await?;
    let mut primary = RedisServer::start().await?;
    let replication = Balancer::start(&format!("127.0.0.1:{}", primary.port())).await?;
    let following = RedisOptions {
        replica_of: Some(replication.port()),
        ..RedisOptions::default()
    };
    let replica = RedisServer::start_with(following).await?;
    replica.wait_for_replication().await;
    // The gateway knows one address; behind it the primary changes.
    let shard = Balancer::start(&format!("127.0.0.1:{}", primary.port())).await?;
    let config = GatewayConfig::default()
        .set("engine.type", "redis")
        .set(
            "shards",
            json!([{ "name": "one", "url": format!("redis://127.0.0.1:{}", shard.port()) }]),
        )
        .set("cluster.store", store.url())
        .namespace("stream", &options(100));
    let gateway = Gateway::start(&config).await?;

    let early = watch_and_leave(&gateway, transport, 3).await?;
    replicated(&primary, &replica).await;
    replication.cut();
    publish(&gateway, 3..6).await?;
    let late = Position {
        offset: early.offset + 3,
        ..early.clone()
    };
    assert!(
        come_back(&gateway, transport, &late).await?.recovered,
        "before the fault"
    );

    primary.kill();
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
    shard.point_to(&format!("127.0.0.1:{}", replica.port()));
    publishes_again(&gateway).await;
    let left = gateway.api().history(CHANNEL).await?;
    assert!(
        left.contains(&json!(2)) && !left.contains(&json!(5)),
        "the replica lagged: {left:?}"
    );

    assert!(!come_back(&gateway, transport, &early).await?.recovered);
    assert!(!come_back(&gateway, transport, &late).await?.recovered);
    publish(&gateway, 100..110).await?;
    assert!(!come_back(&gateway, transport, &early).await?.recovered);
    assert!(!come_back(&gateway, transport, &late).await?.recovered);
    Ok(())
}

/// Waits until the replica has all that the primary has.
async fn replicated(primary: &RedisServer, replica: &RedisServer) {
    eventually("the replica has caught up", SOON, || async {
        let there = replication_offset(replica, "slave_repl_offset:").await;
        there.is_some() && there == replication_offset(primary, "master_repl_offset:").await
    })
    .await;
}

async fn replication_offset(server: &RedisServer, field: &str) -> Option<u64> {
    let info: String = server.command(&["INFO", "replication"]).await.ok()?;
    info.lines()
        .find_map(|line| line.strip_prefix(field))?
        .trim()
        .parse()
        .ok()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
