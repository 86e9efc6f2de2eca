//! The Rust client beside the JavaScript SDK: whatever happens, both tell their application the same.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_client::{Client, ClientEvent, Subscription, SubscriptionEvent};
use campanile_tests::balancer::Balancer;
use campanile_tests::cluster::Cluster;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use parking_lot::Mutex;
use serde_json::{Value, json};

const CHANNEL: &str = "stream:room";

/// What an application was told, a line for each event.
type Story = Arc<Mutex<Vec<String>>>;

/// The Rust client as an application has it.
struct Rust {
    client: Client,
    room: Subscription,
    /// Of the client, and of the subscription.
    stories: [Story; 2],
}

impl Rust {
    fn start(url: &str) -> Result<Self> {
        let client = Client::builder(url)
            .token(token::connection("reader"))
            .reconnect_delay(Duration::from_millis(200), Duration::from_secs(1))
            .build()?;
        let room = client.subscription(CHANNEL).build()?;
        let stories = <[Story; 2]>::default();
        let (mut events, story) = (client.events(), Arc::clone(&stories[0]));
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                story.lock().extend(client_line(&event));
            }
        });
        let (mut events, story) = (room.events(), Arc::clone(&stories[1]));
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                story.lock().push(subscription_line(&event));
            }
        });
        client.connect();
        Ok(Self {
            client,
            room,
            stories,
        })
    }

    fn told(&self) -> [Vec<String>; 2] {
        self.stories.clone().map(|story| story.lock().clone())
    }
}

fn client_line(event: &ClientEvent) -> Option<String> {
    Some(match event {
        ClientEvent::Connecting(reason) => format!("connecting: {reason}"),
        ClientEvent::Connected(_) => "connected".into(),
        ClientEvent::Disconnected(reason) => format!("disconnected: {reason}"),
        // How often an attempt fails is a matter of luck.
        _ => return None,
    })
}

fn subscription_line(event: &SubscriptionEvent) -> String {
    match event {
        SubscriptionEvent::Subscribing(reason) => format!("subscribing: {reason}"),
        SubscriptionEvent::Subscribed(it) => {
            let offset = it.position.as_ref().map_or(0, |position| position.offset.get());
            format!("subscribed at {offset}: {} {}", it.was_recovering, it.recovered)
        }
        SubscriptionEvent::Unsubscribed(reason) => format!("unsubscribed: {reason}"),
        SubscriptionEvent::Publication(it) => {
            let data = it.json::<Value>().unwrap_or_default();
            format!("publication {}: {data}", it.offset.unwrap_or_default())
        }
        other => format!("{other:?}"),
    }
}

/// The same lines of the JavaScript SDK's events.
fn told(puppet: &Puppet) -> [Vec<String>; 2] {
    let events = puppet.events();
    let client = events.iter().filter_map(|it| {
        let reason = format!("{} ({})", it["reason"].as_str().unwrap_or_default(), it["code"]);
        Some(match it["event"].as_str()? {
            name @ ("connecting" | "disconnected") => format!("{name}: {reason}"),
            "connected" => "connected".into(),
            _ => return None,
        })
    });
    let subscription = events.iter().filter_map(|it| {
        let reason = format!("{} ({})", it["reason"].as_str().unwrap_or_default(), it["code"]);
        Some(match it["event"].as_str()? {
            name @ ("subscribing" | "unsubscribed") => format!("{name}: {reason}"),
            "subscribed" => format!(
                "subscribed at {}: {} {}",
                it["offset"], it["was_recovering"], it["recovered"]
            ),
            "publication" => format!("publication {}: {}", it["offset"], it["data"]),
            _ => return None,
        })
    });
    [client.collect(), subscription.collect()]
}

/// Waits until both have been told `line` as the last thing, the client's or the subscription's.
async fn both_told(rust: &Rust, puppet: &Puppet, line: &str) {
    let last = |told: [Vec<String>; 2]| {
        told.iter()
            .any(|story| story.last().is_some_and(|last| last == line))
    };
    eventually(&format!("both are told `{line}`"), SOON, || async {
        last(rust.told()) && last(told(puppet))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_client_is_told_what_the_javascript_sdk_is_told() -> Result<()> {
    let stream = json!({
        "history_size": 100,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    let cluster = Cluster::builder()
        .shards(1)
        .gateways(1)
        .namespace("stream", &stream)
        .start()
        .await?;
    let gateway = cluster.gateways.first().context("a gateway")?;
    let api = gateway.api();
    let balancer = Balancer::start(gateway.address()).await?;
    let rust = Rust::start(&balancer.websocket_url())?;
    let puppet = Puppet::start(Sdk::JsProtobuf)?;
    let options = json!({ "minReconnectDelay": 200, "maxReconnectDelay": 1000 });
    let connect = json!({
        "do": "connect",
        "url": balancer.websocket_url(),
        "token": token::connection("reader"),
        "options": options,
    });
    puppet.call(connect).await?;
    both_told(&rust, &puppet, "connected").await;

    rust.room.subscribe();
    puppet.subscribe(CHANNEL).await?;
    both_told(&rust, &puppet, "subscribed at 0: false false").await;
    for number in 1..=2 {
        api.publish(CHANNEL, &json!(number)).await?;
    }
    both_told(&rust, &puppet, "publication 2: 2").await;

    balancer.cut();
    both_told(&rust, &puppet, "connecting: transport closed (1)").await;
    for number in 3..=5 {
        api.publish(CHANNEL, &json!(number)).await?;
    }
    balancer.point_to(gateway.address());
    both_told(&rust, &puppet, "publication 5: 5").await;

    let reader = json!({ "user": "reader", "channel": CHANNEL });
    api.call("unsubscribe", &reader).await?;
    both_told(&rust, &puppet, "unsubscribed: server unsubscribe (2000)").await;
    api.publish(CHANNEL, &json!(6)).await?;
    rust.room.subscribe();
    puppet
        .call(json!({ "do": "subscribe", "channel": CHANNEL }))
        .await?;
    both_told(&rust, &puppet, "publication 6: 6").await;

    api.call("disconnect", &json!({ "user": "reader" })).await?;
    both_told(&rust, &puppet, "disconnected: force disconnect (3503)").await;
    both_told(&rust, &puppet, "subscribing: transport closed (1)").await;
    assert_eq!(rust.told(), told(&puppet));
    assert!(rust.client.ready().await.is_err());
    Ok(())
}
