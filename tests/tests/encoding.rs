//! A publication is encoded once per codec, whatever the number of its subscribers.

use anyhow::Result;
use campanile_common::Codec;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::metrics::Metrics;
use campanile_tests::token;
use campanile_tests::wire::Wire;
use serde_json::json;

const PUBLICATIONS: u64 = 50;
const SUBSCRIBERS: usize = 40;

#[tokio::test]
async fn a_publication_is_encoded_once_per_codec_in_use() -> Result<()> {
    let options = json!({ "allow_subscribe_for_client": true });
    let gateway = Gateway::start(&GatewayConfig::default().namespace("room", &options)).await?;

    // Nobody listens: nothing is encoded.
    gateway.api().publish("room:1", &json!(0)).await?;
    let nobody = gateway.metrics().await?;
    assert_eq!(Codec::ALL.map(|codec| encoded(&nobody, codec)), [0, 0, 0]);

    let mut used = Vec::new();
    let mut wires = Vec::new();
    for codec in Codec::ALL {
        for _ in 0..SUBSCRIBERS {
            let mut wire =
                Wire::connect_with(&gateway.websocket_url(), &token::connection("reader"), codec).await?;
            wire.subscribe("room:1").await?;
            wires.push(wire);
        }
        used.push(codec);
        let before = gateway.metrics().await?;
        for number in 0..PUBLICATIONS {
            gateway.api().publish("room:1", &json!(number)).await?;
        }
        for wire in &mut wires {
            for number in 0..PUBLICATIONS {
                assert_eq!(wire.publication().await?.1["data"], number);
            }
        }
        let after = gateway.metrics().await?;
        for codec in Codec::ALL {
            let times = encoded(&after, codec) - encoded(&before, codec);
            let expected = if used.contains(&codec) { PUBLICATIONS } else { 0 };
            assert_eq!(times, expected, "{codec:?} with {} subscribers", wires.len());
        }
    }
    Ok(())
}

fn encoded(metrics: &Metrics, codec: Codec) -> u64 {
    metrics.count(
        "campanile_publications_encoded_total",
        &[("codec", codec.label())],
    )
}
