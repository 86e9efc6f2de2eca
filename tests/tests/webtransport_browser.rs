//! npm `centrifuge` in a page of a headless Chromium, over WebTransport, with the gateway's generated certificate pinned
//! by its hash.

use anyhow::Result;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::puppet::Puppet;
use campanile_tests::relay::Relay;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

const CHANNEL: &str = "chat:lobby";

/// A gateway that serves WebTransport, and notices soon who is gone.
async fn gateway() -> Result<Gateway> {
    let chat = json!({
        "history_size": 100,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
        "allow_publish_for_subscriber": true,
    });
    let config = GatewayConfig::default()
        .set("quic.enabled", true)
        .set("quic.generated_certificate", true)
        .set("webtransport.enabled", true)
        .set("client.allowed_origins", json!(["http://127.0.0.1:*"]))
        // A cut is noticed soon, and a page that is kept from running for a moment is not taken for gone.
        .set("client.ping_interval", "3s")
        .set("client.pong_timeout", "2900ms")
        .namespace("chat", &chat);
    Gateway::start(&config).await
}

/// A page whose SDK connects to the gateway through `relay`.
async fn page(codec: &str, gateway: &Gateway, relay: &Relay) -> Result<Puppet> {
    let certificate = gateway.udp().certificate.hex();
    let page = Puppet::node("page.mjs", &[codec, &certificate])?;
    let endpoint = format!("https://{}/connection/webtransport", relay.address());
    let connect = json!({
        "do": "connect",
        "url": [{ "transport": "webtransport", "endpoint": endpoint }],
        "token": token::connection("ann"),
        // It hears soon that it hears nothing, and tries again soon.
        "options": { "minReconnectDelay": 100, "maxReconnectDelay": 500, "timeout": 3000, "maxServerPingDelay": 2000 },
    });
    page.call(connect).await?;
    page.event("connected", |_| true).await;
    Ok(page)
}

async fn connects_talks_and_recovers(codec: &str) -> Result<()> {
    let gateway = gateway().await?;
    let relay = Relay::start(gateway.udp().address).await?;
    let page = page(codec, &gateway, &relay).await?;
    let api = gateway.api();
    page.subscribe(CHANNEL).await?;
    page.publish(CHANNEL, &json!({ "n": 0 })).await?;
    api.publish(CHANNEL, &json!({ "n": 1 })).await?;
    has(&page, 2).await;

    relay.cut();
    page.event("connecting", |event| event["code"] != 0).await;
    for n in 2..7 {
        api.publish(CHANNEL, &json!({ "n": n })).await?;
    }
    relay.mend();
    let back = page
        .event("subscribed", |event| event["was_recovering"] == true)
        .await;
    assert_eq!(back["recovered"], true, "{back}");
    page.publish(CHANNEL, &json!({ "n": 7 })).await?;
    has(&page, 8).await;
    Ok(())
}

/// Waits for so many publications: each once, in order.
async fn has(page: &Puppet, count: u64) {
    let expected: Vec<Value> = (0..count).map(|n| json!({ "n": n })).collect();
    eventually(&format!("the page has {count}"), SOON, || async {
        page.received(CHANNEL).len() >= expected.len()
    })
    .await;
    assert_eq!(page.received(CHANNEL), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_connects_talks_and_recovers_in_json() -> Result<()> {
    connects_talks_and_recovers("json").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_connects_talks_and_recovers_in_protobuf() -> Result<()> {
    connects_talks_and_recovers("protobuf").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_does_what_a_disconnect_asks_for() -> Result<()> {
    let gateway = gateway().await?;
    let relay = Relay::start(gateway.udp().address).await?;
    let page = page("json", &gateway, &relay).await?;
    let disconnect = |code: u64, reason: &'static str| {
        let params = json!({ "user": "ann", "disconnect": { "code": code, "reason": reason } });
        let api = gateway.api();
        async move { api.call("disconnect", &params).await }
    };
    // A code after which a client comes back, with the reason of the one who sent it.
    disconnect(4100, "go round").await?;
    let connecting = page.event("connecting", |event| event["code"] == 4100).await;
    assert_eq!(connecting["reason"], "go round");
    eventually("the page is back", SOON, || async {
        page.events_of("connected").len() == 2
    })
    .await;
    // And one after which it does not.
    disconnect(4500, "stay out").await?;
    let disconnected = page.event("disconnected", |_| true).await;
    assert_eq!(
        (&disconnected["code"], &disconnected["reason"]),
        (&json!(4500), &json!("stay out"))
    );
    assert_eq!(page.events_of("connected").len(), 2);
    eventually("the gateway has nobody", SOON, || async {
        gateway
            .metrics()
            .await
            .is_ok_and(|metrics| metrics.count("campanile_connections", &[]) == 0)
    })
    .await;
    Ok(())
}
