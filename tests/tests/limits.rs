//! What one client may cost, and what it is told when it wants more.

use std::time::{Duration, Instant};

use anyhow::Result;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use serde_json::json;

over_each_transport!(
    who_never_connects_is_closed_as_stale,
    who_does_not_answer_pings_is_closed_and_who_does_is_not,
    subscriptions_are_limited,
    a_flood_of_commands_is_refused_then_closed_and_others_go_on,
    connections_are_limited_and_places_become_free,
    connections_of_one_user_are_limited,
);

async fn gateway(settings: &[(&str, serde_json::Value)]) -> Result<Gateway> {
    let room = json!({ "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    let mut config = GatewayConfig::default().namespace("room", &room);
    for (path, value) in settings {
        config = config.set(path, value.clone());
    }
    Gateway::start(&config).await
}

async fn connect(gateway: &Gateway, transport: Transport) -> Result<Wire> {
    Wire::connect(gateway.endpoint(transport), &token::connection("ann")).await
}

async fn who_never_connects_is_closed_as_stale(transport: Transport) -> Result<()> {
    let gateway = gateway(&[("client.stale_close_delay", json!("2s"))]).await?;
    let mut silent = Wire::open(gateway.endpoint(transport)).await?;
    let mut other = connect(&gateway, transport).await?;
    assert_eq!(silent.closed().await?.code, 3502);
    assert!(other.is_alive().await, "whoever has connected stays");
    Ok(())
}

async fn who_does_not_answer_pings_is_closed_and_who_does_is_not(transport: Transport) -> Result<()> {
    let settings = [
        ("client.ping_interval", json!("2s")),
        ("client.pong_timeout", json!("1900ms")),
    ];
    let gateway = gateway(&settings).await?;
    let mut deaf = connect(&gateway, transport).await?;
    let mut other = connect(&gateway, transport).await?;
    let closed = deaf.closed();
    let answering = async {
        let end = Instant::now() + Duration::from_secs(6);
        while Instant::now() < end {
            assert!(other.is_alive().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (closed, ()) = tokio::join!(closed, answering);
    assert_eq!(closed?.code, 3012);
    Ok(())
}

async fn subscriptions_are_limited(transport: Transport) -> Result<()> {
    let gateway = gateway(&[("client.channel_limit", json!(2))]).await?;
    let mut wire = connect(&gateway, transport).await?;
    wire.subscribe("room:1").await?;
    wire.subscribe("room:2").await?;
    let third = json!({ "subscribe": { "channel": "room:3" } });
    assert_eq!(wire.request(third.clone()).await?["error"]["code"], 106);
    wire.request(json!({ "unsubscribe": { "channel": "room:1" } }))
        .await?;
    assert!(
        wire.request(third).await?.get("error").is_none(),
        "there is room again"
    );
    Ok(())
}

async fn a_flood_of_commands_is_refused_then_closed_and_others_go_on(transport: Transport) -> Result<()> {
    let settings = [
        ("client.rate_limit.commands_per_second", json!(5)),
        ("client.rate_limit.burst", json!(10)),
    ];
    let gateway = gateway(&settings).await?;
    let mut other = connect(&gateway, transport).await?;
    let mut flood = connect(&gateway, transport).await?;
    for id in 2..200 {
        // It may be closed before the last is sent.
        let _ = flood
            .send(&json!({ "id": id, "publish": { "channel": "room:1", "data": id } }))
            .await;
    }
    assert_eq!(flood.closed().await?.code, 3013);
    assert!(other.is_alive().await);
    let refused = gateway
        .metrics()
        .await?
        .count("campanile_command_errors_total", &[("code", "111")]);
    assert!(refused > 0, "before that it was told to slow down");
    Ok(())
}

/// Nobody is let in: HTTP says so with a status, native QUIC with the code of a client that is to come again later.
async fn is_refused(gateway: &Gateway, transport: Transport) -> Result<()> {
    match Wire::open(gateway.endpoint(transport)).await {
        Ok(mut wire) => {
            assert_eq!(transport, Transport::Quic);
            assert_eq!(wire.closed().await?.code, 3013);
        }
        Err(error) => assert!(format!("{error:#}").contains("503"), "{error:#}"),
    }
    Ok(())
}

async fn connections_are_limited_and_places_become_free(transport: Transport) -> Result<()> {
    let gateway = gateway(&[("client.connection_limit", json!(2))]).await?;
    let mut first = connect(&gateway, transport).await?;
    let second = connect(&gateway, transport).await?;
    is_refused(&gateway, transport).await?;
    let labels = [("reason", "connection_limit")];
    assert_eq!(
        gateway
            .metrics()
            .await?
            .count("campanile_connections_refused_total", &labels),
        1
    );
    assert!(first.is_alive().await);
    drop(second);
    eventually("the place of the one that left is free", SOON, || async {
        connect(&gateway, transport).await.is_ok()
    })
    .await;
    Ok(())
}

async fn connections_of_one_user_are_limited(transport: Transport) -> Result<()> {
    let gateway = gateway(&[("client.user_connection_limit", json!(1))]).await?;
    let mut ann = connect(&gateway, transport).await?;
    let mut again = Wire::open(gateway.endpoint(transport)).await?;
    again
        .send(&json!({ "id": 1, "connect": { "token": token::connection("ann") } }))
        .await?;
    assert_eq!(again.closed().await?.code, 3504);
    let _bob = Wire::connect(gateway.endpoint(transport), &token::connection("bob")).await?;
    assert!(ann.is_alive().await);
    Ok(())
}
