//! Clients of different gateways, languages, codecs and transports share channels that are spread over three shards.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use campanile_common::Codec;
use campanile_shard_router::partition::Partition;
use campanile_shard_router::ring;
use campanile_shard_router::topology::ShardId;
use campanile_tests::cluster::Cluster;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

const CHANNELS: usize = 1000;

async fn cluster() -> Result<Cluster> {
    let room = json!({
        "history_size": 100,
        "history_ttl": "300s",
        "force_recovery": true,
        "presence": true,
        "join_leave": true,
        "force_push_join_leave": true,
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "allow_presence_for_client": true,
        "allow_history_for_client": true,
    });
    let plain = json!({ "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    let cluster = Cluster::builder().shards(3).gateways(2);
    cluster
        .namespace("room", &room)
        .namespace("plain", &plain)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_over_every_transport_at_either_gateway_sees_every_publication() -> Result<()> {
    let cluster = cluster().await?;
    for channel in ["room:1", "plain:1"] {
        let mut puppets = Vec::new();
        let mut wires = Vec::new();
        for gateway in &cluster.gateways {
            let url = gateway.websocket_url();
            for sdk in Sdk::ALL {
                let puppet = Puppet::start(sdk)?;
                puppet.connect(&url, &token::connection("reader")).await?;
                puppet.subscribe(channel).await?;
                puppets.push(puppet);
            }
            for transport in Transport::ALL {
                for codec in Codec::ALL {
                    let endpoint = gateway.endpoint(transport);
                    let mut wire = Wire::connect_with(endpoint, &token::connection("writer"), codec).await?;
                    wire.subscribe(channel).await?;
                    wires.push(wire);
                }
            }
        }

        // Everybody publishes in turn: each SDK, and each codec over each transport, at each gateway.
        let mut expected = Vec::new();
        for (number, puppet) in puppets.iter().enumerate() {
            expected.push(
                json!({ "sdk": number, "text": "Glocke \u{1f514}", "nested": [1, null, { "a": -1.5 }] }),
            );
            puppet.publish(channel, &expected[number]).await?;
        }
        for (number, wire) in wires.iter_mut().enumerate() {
            expected.push(json!({ "wire": number }));
            let publish = json!({ "channel": channel, "data": expected.last() });
            let reply = wire.request(json!({ "publish": publish })).await?;
            assert!(reply.get("error").is_none(), "{reply}");
        }
        for gateway in &cluster.gateways {
            expected.push(json!({ "api": gateway.url() }));
            gateway
                .api()
                .publish(channel, expected.last().context("just pushed")?)
                .await?;
        }

        for puppet in &puppets {
            eventually("the SDK has everything", SOON, || async {
                puppet.received(channel).len() >= expected.len()
            })
            .await;
            assert_eq!(puppet.received(channel), expected);
        }
        for wire in &mut wires {
            for data in &expected {
                assert_eq!(wire.publication().await?.1["data"], *data);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_channels_lie_where_the_ring_says() -> Result<()> {
    let cluster = cluster().await?;
    let apis: Vec<_> = cluster.gateways.iter().map(|gateway| gateway.api()).collect();
    let publish = |index: usize| {
        let api = &apis[index % apis.len()];
        async move {
            api.publish(&format!("room:{index}"), &json!(index))
                .await
                .map(drop)
        }
    };
    stream::iter(0..CHANNELS)
        .map(publish)
        .buffer_unordered(32)
        .try_collect::<()>()
        .await?;

    let equal = (1..=3)
        .map(|number| (ShardId::new(&format!("redis-{number}")), 1))
        .collect();
    let owners = ring::propose(&equal, &vec![None; usize::from(Partition::COUNT)]).context("a proposal")?;
    let mut counts = Vec::new();
    for (index, shard) in cluster.shards.iter().enumerate() {
        let found = shard.command::<Vec<String>>(&["KEYS", "*:stream:room:*"]).await?;
        for key in &found {
            let (_, channel) = key.split_once(":stream:").context("a stream's key")?;
            let owner = &owners[Partition::of(channel).index()];
            assert_eq!(owner.as_str(), format!("redis-{}", index + 1), "{channel}");
        }
        counts.push(found.len());
    }
    assert_eq!(
        counts.iter().sum::<usize>(),
        CHANNELS,
        "each channel is on exactly one shard: {counts:?}"
    );
    assert!(
        counts.iter().all(|count| *count > CHANNELS / 4),
        "and they are spread: {counts:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_and_history_are_the_same_from_both_gateways() -> Result<()> {
    let cluster = cluster().await?;
    let mut puppets = Vec::new();
    for (gateway, sdk) in cluster.gateways.iter().cycle().zip(Sdk::ALL) {
        let puppet = Puppet::start(sdk)?;
        puppet
            .connect(&gateway.websocket_url(), &token::connection(&format!("{sdk:?}")))
            .await?;
        puppet.subscribe("room:1").await?;
        puppets.push(puppet);
    }
    // The last of them was seen to join by those who were there before.
    for puppet in &puppets[..3] {
        puppet
            .event("join", |event| event["info"]["user"] == "PythonProtobuf")
            .await;
    }
    for (number, puppet) in puppets.iter().enumerate() {
        puppet.publish("room:1", &json!(number)).await?;
    }

    let users: Vec<_> = Sdk::ALL.iter().map(|sdk| format!("{sdk:?}")).collect();
    for puppet in &puppets {
        eventually("everybody is present", SOON, || async {
            users_present(puppet)
                .await
                .is_ok_and(|present| present.values().eq(&users))
        })
        .await;
        let history = puppet
            .call(json!({ "do": "history", "channel": "room:1", "limit": 10 }))
            .await?;
        let publications = history["publications"].as_array().context("publications")?;
        let data: Vec<_> = publications.iter().map(|it| it["data"].clone()).collect();
        assert_eq!(data, [0, 1, 2, 3].map(Value::from));
        let authors: Vec<_> = publications
            .iter()
            .filter_map(|it| it["info"]["user"].as_str())
            .collect();
        assert_eq!(authors, users);
        let stats = puppet
            .call(json!({ "do": "presence_stats", "channel": "room:1" }))
            .await?;
        assert_eq!(stats, json!({ "num_clients": 4, "num_users": 4 }));
    }
    let [first, second] = &cluster.gateways[..] else {
        panic!("two gateways")
    };
    assert_eq!(
        first.api().presence("room:1").await?,
        second.api().presence("room:1").await?
    );
    assert_eq!(
        first.api().history("room:1").await?,
        second.api().history("room:1").await?
    );

    // Whoever leaves is seen to leave, and is present no more, from either side.
    puppets[0].call(json!({ "do": "disconnect" })).await?;
    for puppet in &puppets[1..] {
        puppet
            .event("leave", |event| event["info"]["user"] == users[0])
            .await;
        eventually("three are present", SOON, || async {
            users_present(puppet)
                .await
                .is_ok_and(|present| present.len() == 3)
        })
        .await;
    }
    Ok(())
}

/// Who is present in the room as an SDK sees it: the users, by themselves.
async fn users_present(puppet: &Puppet) -> Result<BTreeMap<String, String>> {
    let presence = puppet
        .call(json!({ "do": "presence", "channel": "room:1" }))
        .await?;
    let clients = presence.as_object().context("presence")?;
    let users = clients.values().filter_map(|info| info["user"].as_str());
    Ok(users.map(|user| (user.to_owned(), user.to_owned())).collect())
}
