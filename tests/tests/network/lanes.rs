//! Many busy channels on one connection over a network that loses packets: how long publications are under way.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use campanile_client::Connection;
use campanile_tests::api::Api;
use campanile_tests::link::Conditions;
use campanile_tests::wait::SOON;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::world::{DELAY, Over, ROUND_TRIP, World, config, connect, report, subscribe};

const CHANNELS: usize = 50;

/// Publications in each channel, and the time between two of them.
const ROUNDS: usize = 25;
const PAUSE: Duration = Duration::from_millis(200);

/// Publications in one request: neighbours in time, but not a burst.
const BATCH: usize = 5;

const LOSS: f64 = 0.05;

/// How much a publication carries, in bytes.
const PAYLOAD: usize = 200;

#[tokio::test]
async fn busy_channels_get_everything_while_packets_are_lost() -> Result<()> {
    let (lanes, one_stream, cubic, websocket) = tokio::try_join!(
        measure(Over::Lanes, "bbr"),
        measure(Over::OneStream, "bbr"),
        measure(Over::Lanes, "cubic"),
        measure(Over::WebSocket, "cubic")
    )?;
    report(&format!(
        "{CHANNELS} busy channels, a round trip of {ROUND_TRIP:?}, {} % of packets lost
  \
         QUIC, a stream for each, BBR: {lanes:?}
  QUIC, one stream, BBR: {one_stream:?}
  QUIC, a stream for each, CUBIC: {cubic:?}
  WebSocket: {websocket:?}",
        LOSS * 100.0
    ));
    Ok(())
}

/// How long publications were under way, in order.
struct Delays(Vec<Duration>);

impl Delays {
    fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a short list"
        )]
        let index = (self.0.len() as f64 * share) as usize;
        self.0[index.min(self.0.len() - 1)]
    }
}

impl std::fmt::Debug for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |share| self.at(share).as_millis();
        write!(
            f,
            "p50 {} ms, p90 {} ms, p99 {} ms, longest {} ms",
            milliseconds(0.5),
            milliseconds(0.9),
            milliseconds(0.99),
            milliseconds(1.0)
        )
    }
}

/// Publishes to all channels, and takes down when each publication arrives.
async fn measure(over: Over, congestion_control: &str) -> Result<Delays> {
    let conditions = Conditions {
        delay: DELAY,
        ..Conditions::default()
    };
    let world = World::start(
        conditions,
        config().set("quic.congestion_control", congestion_control),
    )
    .await?;
    let dialer = world.dialer(over)?;
    let connection = world
        .link
        .client()
        .run(async move {
            let mut connection = connect(&*dialer).await?;
            for channel in 0..CHANNELS {
                subscribe(&mut connection, &channel.to_string()).await?;
            }
            anyhow::Ok(connection)
        })
        .await?;
    world.link.change(|conditions| conditions.loss = LOSS);
    let start = Instant::now();
    let publishing = world.link.server().spawn(publish(world.gateway.api(), start));
    let delays = world.link.client().run(receive(connection, start)).await?;
    publishing.await??;
    Ok(delays)
}

async fn publish(api: Api, start: Instant) -> Result<()> {
    let steps = u32::try_from(CHANNELS / BATCH)?;
    let mut tick = interval(PAUSE / steps);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let filling = "x".repeat(PAYLOAD);
    for channels in (0..ROUNDS).flat_map(|_| (0..CHANNELS).step_by(BATCH)) {
        tick.tick().await;
        let data = json!({ "at": start.elapsed().as_secs_f64(), "filling": filling });
        let commands: Vec<Value> = (channels..channels + BATCH)
            .map(|channel| json!({ "publish": { "channel": channel.to_string(), "data": data } }))
            .collect();
        api.call("batch", &json!({ "commands": commands })).await?;
    }
    Ok(())
}

async fn receive(mut connection: Connection, start: Instant) -> Result<Delays> {
    let mut delays = Vec::new();
    while delays.len() < CHANNELS * ROUNDS {
        let push = timeout(2 * SOON, connection.next_push()).await??;
        let publication = push.publication.context("only publications are expected")?;
        let data: Value = serde_json::from_slice(&publication.data)?;
        let sent = data["at"].as_f64().context("the time of publication")?;
        delays.push(start.elapsed().saturating_sub(Duration::from_secs_f64(sent)));
    }
    delays.sort();
    Ok(Delays(delays))
}
