//! A gateway that is killed or stopped: what it leaves behind goes, and its clients find themselves elsewhere.

use std::time::{Duration, Instant};

use anyhow::Result;
use campanile_tests::balancer::Balancer;
use campanile_tests::cluster::Cluster;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

const CHANNEL: &str = "stream:room";
const PRESENCE_TTL: Duration = Duration::from_secs(5);

/// Two gateways, and clients that reach the first through a balancer.
async fn scene() -> Result<(Cluster, Vec<(Sdk, Balancer, Puppet)>)> {
    let stream = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "force_recovery": true,
        "presence": true,
        "allow_subscribe_for_client": true,
    });
    let cluster = Cluster::builder()
        .shards(2)
        .gateways(2)
        .namespace("stream", &stream)
        .set(
            "engine.redis.presence_ttl",
            format!("{}s", PRESENCE_TTL.as_secs()),
        )
        .set("client.presence_update_interval", "1s")
        .set("shutdown.timeout", "5s")
        .start()
        .await?;
    let mut clients = Vec::new();
    for sdk in [Sdk::JsProtobuf, Sdk::PythonJson] {
        let balancer = Balancer::start(cluster.gateways[0].address()).await?;
        let puppet = Puppet::start(sdk)?;
        puppet
            .connect(&balancer.websocket_url(), &token::connection("reader"))
            .await?;
        puppet.subscribe(CHANNEL).await?;
        clients.push((sdk, balancer, puppet));
    }
    Ok((cluster, clients))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_presence_of_a_killed_gateway_goes_within_its_ttl() -> Result<()> {
    let (mut cluster, clients) = scene().await?;
    let api = cluster.gateways[1].api();
    eventually("both are present", SOON, || async {
        api.presence(CHANNEL)
            .await
            .is_ok_and(|clients| clients.len() == 2)
    })
    .await;
    // While the gateway lives, its entries outlive their TTL by being refreshed.
    let end = Instant::now() + PRESENCE_TTL + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(api.presence(CHANNEL).await?.len(), 2);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    clients.iter().for_each(|(_, balancer, _)| balancer.cut());
    cluster.gateways[0].process_mut().kill();
    eventually(
        "the killed gateway's clients are gone",
        PRESENCE_TTL + Duration::from_secs(10),
        || async {
            api.presence(CHANNEL)
                .await
                .is_ok_and(|clients| clients.is_empty())
        },
    )
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_of_a_killed_gateway_recover_elsewhere() -> Result<()> {
    let (mut cluster, clients) = scene().await?;
    let api = cluster.gateways[1].api();
    for number in 0..20 {
        api.publish(CHANNEL, &json!(number)).await?;
    }
    cluster.gateways[0].process_mut().kill();
    for number in 20..40 {
        api.publish(CHANNEL, &json!(number)).await?;
    }
    for (_, balancer, _) in &clients {
        balancer.point_to(cluster.gateways[1].address());
    }
    arrived_whole(&clients, 40).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_of_a_stopped_gateway_are_told_and_recover_elsewhere() -> Result<()> {
    let (mut cluster, clients) = scene().await?;
    let api = cluster.gateways[1].api();
    for number in 0..20 {
        api.publish(CHANNEL, &json!(number)).await?;
    }
    for (sdk, _, puppet) in &clients {
        eventually(&format!("{sdk:?} has the first"), SOON, || async {
            puppet.received(CHANNEL).len() == 20
        })
        .await;
    }
    let status = cluster.gateways[0].process_mut().terminate(SOON).await?;
    assert!(status.success(), "{status}");
    for (sdk, balancer, puppet) in &clients {
        let told = puppet.event("connecting", |event| event["code"] == 3001).await;
        assert_eq!(told["code"], 3001, "{sdk:?}");
        balancer.point_to(cluster.gateways[1].address());
    }
    for number in 20..40 {
        api.publish(CHANNEL, &json!(number)).await?;
    }
    arrived_whole(&clients, 40).await;
    // An orderly stop leaves no presence behind: there are two clients, and no ghosts of them.
    assert_eq!(api.presence(CHANNEL).await?.len(), 2);
    let info = api.call("info", &json!({})).await?;
    assert_eq!(info["nodes"].as_array().map(Vec::len), Some(1), "{info}");
    Ok(())
}

/// Every client recovered and has 0, 1, 2, … `count`, each once.
async fn arrived_whole(clients: &[(Sdk, Balancer, Puppet)], count: u64) {
    let expected: Vec<Value> = (0..count).map(Value::from).collect();
    for (sdk, _, puppet) in clients {
        let back = puppet
            .event("subscribed", |event| event["was_recovering"] == true)
            .await;
        assert_eq!(back["recovered"], true, "{sdk:?}: {back}");
        eventually(&format!("{sdk:?} has everything"), SOON, || async {
            puppet.received(CHANNEL).len() >= expected.len()
        })
        .await;
        assert_eq!(
            puppet.received(CHANNEL),
            expected,
            "{sdk:?}: each exactly once, in order"
        );
    }
}
