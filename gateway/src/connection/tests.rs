//! Whole connections over pipes: transport, session, router and hub together.

mod client;
mod endpoint;
mod lifecycle;
mod shards;
mod stress;
mod webtransport;
pub(crate) mod world;

use serde_json::json;

use client::Received;
use world::{client, eventually, host, host_with, pipe, publish};

#[tokio::test]
async fn what_one_client_publishes_another_receives() {
    let host = host().await;
    let (mut ann, mut bob) = (client(&host).await, client(&host).await);
    let reply = ann.subscribe("news").await;
    assert_eq!(reply["subscribe"]["positioned"], true);
    let reply = bob
        .call("publish", r#"{"channel":"news","data":{"text":"hello"}}"#)
        .await;
    assert_eq!(reply["publish"], json!({}));
    let publication = ann.publication().await;
    assert_eq!(publication["data"], json!({"text": "hello"}));
    assert_eq!(publication["offset"], 1);
    assert!(publication["info"]["client"].is_string());
}

#[tokio::test]
async fn several_commands_of_one_frame_are_answered_in_order() {
    let host = host().await;
    let mut client = client(&host).await;
    client
        .send_text("{\"id\":11,\"ping\":{}}\n{\"id\":12,\"rpc\":{\"method\":\"x\"}}\n{\"id\":13,\"ping\":{}}")
        .await;
    assert_eq!(client.reply().await, json!({"id": 11, "ping": {}}));
    let error = json!({"code": 104, "message": "method not found"});
    assert_eq!(client.reply().await, json!({"id": 12, "error": error}));
    assert_eq!(client.reply().await, json!({"id": 13, "ping": {}}));
}

#[tokio::test]
async fn what_a_client_missed_it_recovers() {
    let host = host_with(|_, channels| channels.without_namespace.force_recovery = true).await;
    let mut first = client(&host).await;
    let reply = first.subscribe("news").await;
    let epoch = reply["subscribe"]["epoch"].as_str().unwrap().to_owned();
    drop(first);
    for number in 1..=3 {
        publish(&host, "news", &number.to_string()).await;
    }
    let mut second = client(&host).await;
    let request = format!(r#"{{"channel":"news","recover":true,"epoch":"{epoch}","offset":1}}"#);
    let reply = second.call("subscribe", &request).await;
    let result = &reply["subscribe"];
    assert_eq!(result["recovered"], true, "{reply}");
    let data = |publication: &serde_json::Value| publication["data"].as_u64().unwrap();
    let missed: Vec<_> = result["publications"]
        .as_array()
        .unwrap()
        .iter()
        .map(data)
        .collect();
    assert_eq!(missed, [2, 3]);
    publish(&host, "news", "4").await;
    assert_eq!(second.publication().await["offset"], 4);
}

#[tokio::test]
async fn presence_and_history_are_answered() {
    let host = host_with(|_, channels| channels.without_namespace.presence = true).await;
    let mut ann = client(&host).await;
    ann.subscribe("room").await;
    publish(&host, "room", "1").await;
    let mut bob = client(&host).await;
    let reply = bob.call("presence", r#"{"channel":"room"}"#).await;
    assert_eq!(
        reply["presence"]["presence"].as_object().unwrap().len(),
        1,
        "{reply}"
    );
    let reply = bob.call("history", r#"{"channel":"room","limit":10}"#).await;
    assert_eq!(reply["history"]["publications"][0]["data"], 1, "{reply}");
    ann.call("unsubscribe", r#"{"channel":"room"}"#).await;
    let reply = bob.call("presence_stats", r#"{"channel":"room"}"#).await;
    assert_eq!(reply["presence_stats"], json!({}), "{reply}");
}

#[tokio::test]
async fn joins_and_leaves_are_told_to_those_who_want_them() {
    let host = host_with(|_, channels| {
        channels.without_namespace.join_leave = true;
        channels.without_namespace.force_push_join_leave = true;
    })
    .await;
    let (mut ann, mut bob) = (client(&host).await, client(&host).await);
    ann.subscribe("room").await;
    let own = ann.reply().await;
    assert!(own["push"]["join"]["info"]["client"].is_string(), "{own}");
    bob.subscribe("room").await;
    let joined = ann.reply().await;
    bob.call("unsubscribe", r#"{"channel":"room"}"#).await;
    let left = ann.reply().await;
    assert_eq!(joined["push"]["join"]["info"], left["push"]["leave"]["info"]);
    assert_ne!(joined["push"]["join"]["info"], own["push"]["join"]["info"]);
}

#[tokio::test]
async fn frames_that_make_no_sense_close_the_connection() {
    for frame in [
        "nonsense",
        "{\"id\":1,\"ping\":{},\"rpc\":{}}",
        "[]",
        "{\"id\":\"x\"}",
    ] {
        let host = host().await;
        let (mut bad, mut good) = (client(&host).await, client(&host).await);
        bad.send_text(frame).await;
        assert_eq!(bad.closed().await, Received::Closed(3501), "{frame}");
        good.subscribe("news").await;
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_told_apart_from_other_trouble() {
    let host = host().await;
    let mut client = client(&host).await;
    for _ in 0..2 {
        // Two halves of one message.
        client.send_part(&"x".repeat(40_000)).await;
    }
    assert_eq!(client.closed().await, Received::Closed(1009));
}

#[tokio::test]
async fn a_slow_client_is_closed_at_its_budget_while_others_get_everything() {
    let host = host_with(|options, _| options.queue_max_size = 20_000).await;
    let mut slow = client::Client::connected(pipe(&host, 1000)).await;
    slow.subscribe("news").await;
    let mut others = Vec::new();
    for _ in 0..20 {
        let mut other = client(&host).await;
        other.subscribe("news").await;
        others.push(other);
    }
    assert_eq!(host.admission.present(), 21);
    for number in 1..=400 {
        assert_eq!(
            publish(&host, "news", &format!("\"{number:0>100}\"")).await,
            number
        );
        for other in &mut others {
            assert_eq!(other.publication().await["offset"], number);
        }
    }
    // Of what it was sent it reads what was in the pipe; then it is told why it got no more.
    assert_eq!(slow.closed().await, Received::Closed(3008));
    eventually("the slow client is gone", || host.admission.present() == 20).await;
    assert_eq!(host.registry.client_count(), 20);
}
