//! The official SDKs miss ten seconds of steady publishing and get all of it, exactly once and in order, from the other
//! gateway.

use std::time::Duration;

use anyhow::Result;
use campanile_tests::api::Api;
use campanile_tests::balancer::Balancer;
use campanile_tests::cluster::Cluster;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

const CHANNEL: &str = "stream:ticker";

/// How long the clients are away.
const AWAY: Duration = Duration::from_secs(10);

/// One publication in this time, so that what is missed fits into one recovery.
const PACE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_missed_seconds_are_recovered_on_the_other_gateway_through_every_sdk() -> Result<()> {
    let stream = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    let cluster = Cluster::builder()
        .shards(3)
        .gateways(2)
        .namespace("stream", &stream)
        .start()
        .await?;
    let [first, second] = &cluster.gateways[..] else {
        panic!("two gateways")
    };

    let mut clients = Vec::new();
    for sdk in Sdk::ALL {
        let balancer = Balancer::start(first.address()).await?;
        let puppet = Puppet::start(sdk)?;
        let connect = json!({
            "do": "connect",
            "url": balancer.websocket_url(),
            "token": token::connection("reader"),
            "options": quick_to_return(sdk),
        });
        puppet.call(connect).await?;
        puppet.event("connected", |_| true).await;
        puppet.subscribe(CHANNEL).await?;
        clients.push((sdk, balancer, puppet));
    }

    let (stop, stopped) = watch::channel(false);
    let publishing = tokio::spawn(publish_steadily(second.api(), stopped));
    for (sdk, _, puppet) in &clients {
        eventually(&format!("{sdk:?} receives"), SOON, || async {
            puppet.received(CHANNEL).len() >= 10
        })
        .await;
    }

    clients.iter().for_each(|(_, balancer, _)| balancer.cut());
    sleep(AWAY).await;
    for (sdk, balancer, puppet) in &clients {
        assert_eq!(
            puppet.events_of("connected").len(),
            1,
            "{sdk:?} was away all the time"
        );
        balancer.point_to(second.address());
    }
    for (sdk, _, puppet) in &clients {
        let back = puppet
            .event("subscribed", |event| event["was_recovering"] == true)
            .await;
        assert_eq!(back["recovered"], true, "{sdk:?}: {back}");
    }

    sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    let published = publishing.await??;
    assert!(published >= 50, "published all the time: {published}");
    let expected: Vec<Value> = (0..published).map(Value::from).collect();
    for (sdk, _, puppet) in &clients {
        eventually(&format!("{sdk:?} has the last"), SOON, || async {
            puppet.received(CHANNEL).last() == expected.last()
        })
        .await;
        assert_eq!(
            puppet.received(CHANNEL),
            expected,
            "{sdk:?}: each exactly once, in order"
        );
    }
    Ok(())
}

/// The options by which an SDK tries again at least every second, instead of the twenty that are its default.
fn quick_to_return(sdk: Sdk) -> Value {
    match sdk {
        Sdk::JsJson | Sdk::JsProtobuf => json!({ "minReconnectDelay": 200, "maxReconnectDelay": 1000 }),
        Sdk::PythonJson | Sdk::PythonProtobuf => {
            json!({ "min_reconnect_delay": 0.2, "max_reconnect_delay": 1.0 })
        }
    }
}

/// Publishes 0, 1, 2, … until told to stop, and says how many.
async fn publish_steadily(api: Api, stopped: watch::Receiver<bool>) -> Result<u64> {
    let mut clock = interval(PACE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = 0;
    while !*stopped.borrow() {
        clock.tick().await;
        api.publish(CHANNEL, &json!(next)).await?;
        next += 1;
    }
    Ok(next)
}
