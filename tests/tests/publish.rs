//! What one client publishes, others receive: once, in order, whatever the codec, and only while they want it.

use anyhow::{Context as _, Result};
use campanile_common::Codec;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::token;
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

over_each_transport!(
    each_codec_reads_what_each_codec_publishes,
    numbered_publications_of_many_channels_arrive_once_and_in_order,
    large_publications_arrive_whole,
    after_unsubscribing_nothing_more_is_sent,
    one_of_many_joined_commands_is_not_lost,
);

/// One gateway on shards in its own process.
async fn gateway() -> Result<Gateway> {
    let options = json!({
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "allow_history_for_client": true,
    });
    let mut stream = options.clone();
    stream["history_size"] = json!(1000);
    stream["history_ttl"] = json!("300s");
    let config = GatewayConfig::default()
        .set("client.channel_limit", 1000)
        .namespace("stream", &stream)
        .namespace("plain", &options);
    Gateway::start(&config).await
}

async fn connect(gateway: &Gateway, transport: Transport, codec: Codec) -> Result<Wire> {
    Wire::connect_with(gateway.endpoint(transport), &token::connection("ann"), codec).await
}

async fn publish(wire: &mut Wire, channel: &str, data: &Value) -> Result<()> {
    let reply = wire
        .request(json!({ "publish": { "channel": channel, "data": data } }))
        .await?;
    reply.get("publish").map(drop).with_context(|| reply.to_string())
}

async fn each_codec_reads_what_each_codec_publishes(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut wires = Vec::new();
    for codec in Codec::ALL {
        let mut wire = connect(&gateway, transport, codec).await?;
        for channel in ["stream:1", "plain:1"] {
            wire.subscribe(channel).await?;
        }
        wires.push(wire);
    }
    for channel in ["stream:1", "plain:1"] {
        for author in 0..wires.len() {
            let data = json!({ "author": author, "text": "Glocke \u{1f514}\n", "nested": [1, null, -1.5] });
            publish(&mut wires[author], channel, &data).await?;
            for wire in &mut wires {
                let (from, publication) = wire.publication().await?;
                assert_eq!((from.as_str(), &publication["data"]), (channel, &data));
            }
        }
    }
    let history = json!({ "history": { "channel": "stream:1", "limit": 10 } });
    for wire in &mut wires {
        let reply = wire.request(history.clone()).await?;
        let kept = reply["history"]["publications"].as_array().map(Vec::len);
        assert_eq!(kept, Some(Codec::ALL.len()), "{reply}");
    }
    Ok(())
}

async fn numbered_publications_of_many_channels_arrive_once_and_in_order(transport: Transport) -> Result<()> {
    const CHANNELS: usize = 50;
    const ROUNDS: usize = 20;
    let gateway = gateway().await?;
    let mut reader = connect(&gateway, transport, Codec::Protobuf).await?;
    let kinds = ["stream", "plain"].iter().cycle();
    let channels: Vec<String> = kinds
        .take(CHANNELS)
        .enumerate()
        .map(|(index, kind)| format!("{kind}:{index}"))
        .collect();
    for channel in &channels {
        reader.subscribe(channel).await?;
    }
    let api = gateway.api();
    for round in 0..ROUNDS {
        let params = json!({ "channels": channels, "data": round });
        api.call("broadcast", &params).await?;
    }
    let mut next = vec![0; CHANNELS];
    for _ in 0..CHANNELS * ROUNDS {
        let (channel, publication) = reader.publication().await?;
        let index = channels.iter().position(|it| *it == channel);
        let index = index.with_context(|| format!("nobody subscribed to {channel}"))?;
        assert_eq!(publication["data"], next[index], "of {channel}");
        next[index] += 1;
    }
    assert_eq!(next, [ROUNDS; CHANNELS]);
    Ok(())
}

async fn large_publications_arrive_whole(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut reader = connect(&gateway, transport, Codec::Json).await?;
    let mut writer = connect(&gateway, transport, Codec::Protobuf).await?;
    reader.subscribe("plain:1").await?;
    for length in [1, 1200, 16 * 1024, 60_000] {
        let data = json!("x".repeat(length));
        publish(&mut writer, "plain:1", &data).await?;
        assert_eq!(reader.publication().await?.1["data"], data, "{length} bytes");
    }
    Ok(())
}

async fn after_unsubscribing_nothing_more_is_sent(transport: Transport) -> Result<()> {
    let gateway = gateway().await?;
    let mut reader = connect(&gateway, transport, Codec::Json).await?;
    let api = gateway.api();
    for time in 0..3 {
        reader.subscribe("stream:left").await?;
        api.publish("stream:left", &json!(time)).await?;
        assert_eq!(reader.publication().await?.1["data"], time);
        let left = json!({ "unsubscribe": { "channel": "stream:left" } });
        let reply = reader.request(left).await?;
        assert!(reply.get("unsubscribe").is_some(), "{reply}");
        api.publish("stream:left", &json!("unheard")).await?;
    }
    // What comes next is of another channel, so nothing came in between.
    reader.subscribe("stream:kept").await?;
    api.publish("stream:kept", &json!("heard")).await?;
    let (channel, publication) = reader.publication().await?;
    assert_eq!(
        (channel.as_str(), &publication["data"]),
        ("stream:kept", &json!("heard"))
    );
    Ok(())
}

async fn one_of_many_joined_commands_is_not_lost(transport: Transport) -> Result<()> {
    const COMMANDS: usize = 200;
    let gateway = gateway().await?;
    let mut reader = connect(&gateway, transport, Codec::Json).await?;
    let mut writer = connect(&gateway, transport, Codec::Json).await?;
    reader.subscribe("stream:1").await?;
    let command = |number: usize| {
        json!({ "id": 1000 + number, "publish": { "channel": "stream:1", "data": number } }).to_string()
    };
    let commands: Vec<String> = (0..COMMANDS).map(command).collect();
    writer.send_text(commands.join("\n")).await?;
    for number in 0..COMMANDS {
        assert_eq!(reader.publication().await?.1["data"], number);
    }
    Ok(())
}
