//! Who is there: whoever comes is seen to come, and whoever leaves is seen to leave.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::Gateway;
use campanile_tests::over_each_transport;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

over_each_transport!(
    whoever_comes_and_goes_is_announced_and_counted,
    whoever_leaves_without_a_word_is_seen_to_leave,
);

const CHANNEL: &str = "room:1";

/// One shard and two gateways.
async fn cluster() -> Result<Cluster> {
    let room = json!({
        "presence": true,
        "join_leave": true,
        "force_push_join_leave": true,
        "allow_subscribe_for_client": true,
        "allow_presence_for_client": true,
    });
    Cluster::builder()
        .shards(1)
        .gateways(2)
        .namespace("room", &room)
        .start()
        .await
}

async fn subscriber(gateway: &Gateway, transport: Transport, user: &str) -> Result<Wire> {
    let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection(user)).await?;
    wire.subscribe(CHANNEL).await?;
    Ok(wire)
}

/// The next to come or go, other than `own`: which of the two, and the user.
async fn next_change(wire: &mut Wire, own: &str) -> Result<(&'static str, String)> {
    loop {
        let push = wire.push().await?;
        for kind in ["join", "leave"] {
            let user = push[kind]["info"]["user"].as_str();
            if let Some(user) = user.filter(|user| *user != own) {
                return Ok((kind, user.to_owned()));
            }
        }
    }
}

/// The users that a client is told are there, and the number of clients and users.
async fn present(wire: &mut Wire) -> Result<(BTreeSet<String>, Value)> {
    let reply = wire
        .request(json!({ "presence": { "channel": CHANNEL } }))
        .await?;
    let clients = reply["presence"]["presence"].as_object();
    let clients = clients.with_context(|| reply.to_string())?;
    let users = clients
        .values()
        .filter_map(|info| Some(info["user"].as_str()?.to_owned()));
    let stats = json!({ "presence_stats": { "channel": CHANNEL } });
    Ok((
        users.collect(),
        wire.request(stats).await?["presence_stats"].clone(),
    ))
}

async fn whoever_comes_and_goes_is_announced_and_counted(transport: Transport) -> Result<()> {
    let cluster = cluster().await?;
    let [here, there] = &cluster.gateways[..] else {
        panic!("two gateways")
    };
    let mut ann = subscriber(here, transport, "ann").await?;
    let mut bob = subscriber(there, transport, "bob").await?;
    assert_eq!(next_change(&mut ann, "ann").await?, ("join", "bob".to_owned()));
    let (users, stats) = present(&mut ann).await?;
    assert_eq!(users, BTreeSet::from(["ann".to_owned(), "bob".to_owned()]));
    assert_eq!(stats, json!({ "num_clients": 2, "num_users": 2 }));

    bob.request(json!({ "unsubscribe": { "channel": CHANNEL } }))
        .await?;
    assert_eq!(next_change(&mut ann, "ann").await?, ("leave", "bob".to_owned()));
    let (users, stats) = present(&mut ann).await?;
    assert_eq!(users, BTreeSet::from(["ann".to_owned()]));
    assert_eq!(stats, json!({ "num_clients": 1, "num_users": 1 }));
    Ok(())
}

async fn whoever_leaves_without_a_word_is_seen_to_leave(transport: Transport) -> Result<()> {
    let cluster = cluster().await?;
    let [here, there] = &cluster.gateways[..] else {
        panic!("two gateways")
    };
    let mut ann = subscriber(here, transport, "ann").await?;
    for _ in 0..3 {
        let bob = subscriber(there, transport, "bob").await?;
        assert_eq!(next_change(&mut ann, "ann").await?, ("join", "bob".to_owned()));
        drop(bob);
        assert_eq!(next_change(&mut ann, "ann").await?, ("leave", "bob".to_owned()));
    }
    drop(ann);
    eventually("nobody is present", SOON, || async {
        here.api()
            .presence(CHANNEL)
            .await
            .is_ok_and(|clients| clients.is_empty())
    })
    .await;
    Ok(())
}
