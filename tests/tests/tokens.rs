//! What tokens allow, and for how long.

use anyhow::Result;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wire::{Transport, Wire};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

over_each_transport!(
    a_subscription_token_opens_its_channel_to_its_user_alone,
    an_expired_connection_is_closed_unless_it_is_refreshed,
);

async fn gateway() -> Result<Gateway> {
    let config = GatewayConfig::default()
        .set("client.expired_close_delay", "500ms")
        .set("client.expired_sub_close_delay", "500ms")
        .namespace("room", &json!({}))
        .namespace(
            "open",
            &json!({ "allow_subscribe_for_client": true, "presence": true }),
        );
    Gateway::start(&config).await
}

/// A token with these claims and `seconds` to live.
fn signed(mut claims: Value, seconds: i64) -> String {
    claims["exp"] = json!(token::seconds_from_now(seconds));
    token::sign(&claims, token::SECRET)
}

#[tokio::test]
async fn each_algorithm_of_the_hmac_family_is_accepted() -> Result<()> {
    let gateway = gateway().await?;
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = token::sign_with(algorithm, &json!({ "sub": "ann" }), token::SECRET);
        let mut wire = Wire::connect(&gateway.websocket_url(), &token).await?;
        assert!(wire.is_alive().await, "{algorithm:?}");
    }
    Ok(())
}

async fn a_subscription_token_opens_its_channel_to_its_user_alone(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection("ann")).await?;
    let mut subscribe = async |channel: &str, token: &str| -> Result<Value> {
        wire.request(json!({ "subscribe": { "channel": channel, "token": token } }))
            .await
    };
    for channel in ["room:1", "$room:1"] {
        assert_eq!(
            subscribe(channel, "").await?["error"]["code"],
            103,
            "without a token"
        );
        let foreign = token::subscription("bob", channel);
        assert_eq!(
            subscribe(channel, &foreign).await?["error"]["code"],
            103,
            "another user's"
        );
        let other = token::subscription("ann", "room:2");
        assert_eq!(
            subscribe(channel, &other).await?["error"]["code"],
            103,
            "another channel's"
        );
        let connection = token::connection("ann");
        assert_eq!(
            subscribe(channel, &connection).await?["error"]["code"],
            103,
            "a connection's"
        );
        let expired = signed(json!({ "sub": "ann", "channel": channel }), -5);
        assert_eq!(
            subscribe(channel, &expired).await?["error"]["code"],
            109,
            "an expired one"
        );
        let own = token::subscription("ann", channel);
        assert!(
            subscribe(channel, &own).await?.get("subscribe").is_some(),
            "the right one"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_a_token_says_of_its_user_is_shown_to_others() -> Result<()> {
    let gateway = gateway().await?;
    let claims = json!({ "sub": "ann", "info": { "name": "Ann" }, "channels": ["open:1"] });
    let client = Puppet::start(Sdk::JsProtobuf)?;
    client
        .connect(&gateway.websocket_url(), &signed(claims, 60))
        .await?;
    let subscribed = client.event("subscribed", |event| event["server"] == true).await;
    assert_eq!(subscribed["channel"], "open:1");
    let presence = gateway
        .api()
        .call("presence", &json!({ "channel": "open:1" }))
        .await?;
    let shown: Vec<_> = presence["presence"]
        .as_object()
        .into_iter()
        .flat_map(|it| it.values())
        .collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["conn_info"], json!({ "name": "Ann" }));
    gateway.api().publish("open:1", &json!("for you")).await?;
    client
        .event("publication", |event| {
            event["data"] == "for you" && event["server"] == true
        })
        .await;
    Ok(())
}

async fn an_expired_connection_is_closed_unless_it_is_refreshed(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let endpoint = gateway.endpoint(transport);
    let mut lasting = Wire::connect(&endpoint, &signed(json!({ "sub": "ann" }), 5)).await?;
    let mut expiring = Wire::connect(&endpoint, &signed(json!({ "sub": "bob" }), 5)).await?;
    let fresh = signed(json!({ "sub": "ann" }), 60);
    let refreshed = lasting.request(json!({ "refresh": { "token": fresh } })).await?;
    assert_eq!(refreshed["refresh"]["expires"], true, "{refreshed}");
    assert_eq!(expiring.closed().await?.code, 3005);
    assert!(lasting.is_alive().await);
    Ok(())
}
