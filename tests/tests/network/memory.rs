//! What an idle connection costs a gateway in memory, by transport.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use campanile_client::Connection;
use campanile_client::transport::Dial;
use campanile_common::Codec;
use campanile_tests::gateway::Gateway;
use campanile_tests::link::Conditions;
use campanile_tests::wait::{SOON, until};
use campanile_tests::wire::{Endpoint, Wire};
use serde_json::json;

use crate::world::{Over, Secured, World, config, connect, report, subscribe};

/// Connections that are opened; more, for a better number, where the environment says so. All of them together fit into the
/// number of open files that a process is commonly allowed.
const CONNECTIONS: usize = 720;

/// Steps in which they are opened. Those in which memory grew least and most do not count: what is left over from the start
/// is used up, or given back, in some of them.
const STEPS: usize = 9;

/// Without a change for so long, a gateway has put everything away.
const SETTLED: Duration = Duration::from_millis(100);

#[tokio::test]
async fn idle_connections_are_weighed() -> Result<()> {
    let count = match std::env::var("CONNECTIONS") {
        Ok(text) => text.parse()?,
        Err(_) => CONNECTIONS,
    };
    let conditions = Conditions::default();
    let world = World::start(conditions, config()).await?;
    let dialer = world.dialer(Over::WebSocket)?;
    let websocket = weigh(&world, count, |each| open(dialer.clone(), each)).await?;
    let secured = Secured::start(conditions).await?;
    let dialer: Arc<dyn Dial> = Arc::new(secured.websocket()?);
    let with_tls = weigh(&secured.world, count, |each| open(dialer.clone(), each)).await?;
    let secured = Secured::start(conditions).await?;
    let dialer: Arc<dyn Dial> = Arc::new(secured.quic()?);
    let quic = weigh(&secured.world, count, |each| open(dialer.clone(), each)).await?;
    let world = World::start(conditions, config()).await?;
    let endpoint = Endpoint::WebTransport(world.gateway.udp());
    let web_transport = weigh(&world, count, |each| open_sessions(endpoint.clone(), each)).await?;
    report(&format!(
        "memory of an idle connection ({count} with one subscription each): \
         WebSocket {websocket} B, WebSocket over TLS {with_tls} B, QUIC {quic} B, WebTransport {web_transport} B"
    ));
    Ok(())
}

/// By how many bytes the gateway's memory grows with each of `count` connections.
async fn weigh<T, F>(world: &World, count: usize, open: impl Fn(usize) -> F) -> Result<i64>
where
    T: Send + 'static,
    F: Future<Output = Result<Vec<T>>> + Send + 'static,
{
    let each = count / STEPS;
    let mut kept = Vec::new();
    let mut growths = Vec::new();
    let mut before = settled(&world.gateway).await?;
    for _ in 0..STEPS {
        let opened = world.link.client().run(open(each));
        kept.push(opened.await?);
        let after = settled(&world.gateway).await?;
        growths.push(after.cast_signed() - before.cast_signed());
        before = after;
    }
    growths.sort_unstable();
    let usual = &growths[STEPS / 4..STEPS - STEPS / 4];
    Ok(usual.iter().sum::<i64>() / i64::try_from(usual.len() * each)?)
}

/// Connections with a subscription each.
async fn open(dialer: Arc<dyn Dial>, count: usize) -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = connect(&*dialer).await?;
        subscribe(&mut connection, "everybody").await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// The same over WebTransport, which the client SDK does not speak.
async fn open_sessions(endpoint: Endpoint, count: usize) -> Result<Vec<Wire>> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        let mut session = Wire::connect_with(&endpoint, "", Codec::Protobuf).await?;
        session
            .request(json!({ "subscribe": { "channel": "everybody" } }))
            .await?;
        sessions.push(session);
    }
    Ok(sessions)
}

/// The gateway's memory in bytes, once it stays the same.
async fn settled(gateway: &Gateway) -> Result<u64> {
    let read = || gateway.process().resident_bytes();
    let mut last = read()?;
    let settled = until("the gateway's memory stays the same", SOON, || {
        let now = read().unwrap_or_default();
        let same = now == last;
        last = now;
        async move {
            tokio::time::sleep(SETTLED).await;
            same.then_some(now)
        }
    });
    Ok(settled.await)
}
