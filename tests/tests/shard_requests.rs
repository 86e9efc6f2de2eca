//! Requests about the shard list that must be refused: each says what to do, and changes nothing.

use anyhow::{Context as _, Result};
use campanile_tests::api::{Api, ApiError};
use campanile_tests::cluster::{Cluster, ClusterBuilder};
use campanile_tests::redis::RedisServer;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

const UNKNOWN: u64 = 300;
const EXISTS: u64 = 301;
const UNUSABLE: u64 = 302;
const NOBODY_LEFT: u64 = 303;
const UNDER_WAY: u64 = 304;
const MANAGED_ELSEWHERE: u64 = 305;
const NONSENSE: u64 = 107;

fn builder(shards: usize) -> ClusterBuilder {
    let builder = Cluster::builder().shards(shards).gateways(1);
    builder.set("cluster.shards_managed_by", "api")
}

fn api(cluster: &Cluster) -> Api {
    cluster.gateways[0].api()
}

/// The refusal of a request, which also `shards/plan` gives, after which the stored topology is what it was.
async fn refused(cluster: &Cluster, command: &str, params: &Value) -> Result<ApiError> {
    let before = document(cluster).await?;
    let api = api(cluster);
    let refusal = api.try_call(&format!("shards/{command}"), params).await?.err();
    let refusal = refusal.with_context(|| format!("{command} {params} was accepted"))?;
    let planned = api.try_call("shards/plan", &json!({ command: params })).await?;
    let planned = planned.err().map(|refusal| refusal.code);
    assert_eq!(planned, Some(refusal.code), "{command} {params}");
    assert_eq!(document(cluster).await?, before, "{command} {params}");
    Ok(refusal)
}

/// Waits until the list in the gateways' file is noted in the topology: the last change of its own that a new cluster makes.
async fn until_the_list_is_noted(cluster: &Cluster) {
    eventually("the list of the file is the wanted one", SOON, || async {
        let words = ["HGET", "campanile:topology", "document"];
        let topology: Option<String> = cluster.store.command(&words).await.unwrap_or_default();
        let topology: Option<Value> = topology.and_then(|text| serde_json::from_str(&text).ok());
        topology.is_some_and(|topology| topology["wanted"].is_object())
    })
    .await;
}

/// The topology as the store has it.
async fn document(cluster: &Cluster) -> Result<Vec<String>> {
    let parts: Vec<String> = cluster.store.command(&["HVALS", "campanile:topology"]).await?;
    assert!(!parts.is_empty(), "the store has a topology");
    Ok(parts)
}

async fn expect(cluster: &Cluster, command: &str, params: Value, code: u64, words: &[&str]) -> Result<()> {
    let refusal = refused(cluster, command, &params).await?;
    assert_eq!(refusal.code, code, "{command} {params}: {}", refusal.message);
    for word in words {
        assert!(
            refusal.message.contains(word),
            "{command} {params}: {}",
            refusal.message
        );
    }
    assert!(!refusal.message.contains("secret"), "{}", refusal.message);
    Ok(())
}

#[tokio::test]
async fn requests_that_cannot_be_say_what_to_do_and_change_nothing() -> Result<()> {
    let cluster = builder(2).start().await?;
    let spare = RedisServer::start().await?;
    let closed = "redis://user:secret@127.0.0.1:1";
    let taken = cluster.shards[0].url();
    for command in ["drain", "remove"] {
        let words = ["no shard nowhere", "campanile shards list"];
        expect(&cluster, command, json!({ "name": "nowhere" }), UNKNOWN, &words).await?;
    }
    let cases = [
        (
            "weight",
            json!({ "name": "nowhere", "weight": 2 }),
            UNKNOWN,
            "no shard nowhere",
        ),
        (
            "add",
            json!({ "name": "redis-1", "url": spare.url() }),
            EXISTS,
            "another name",
        ),
        (
            "add",
            json!({ "name": "c", "url": closed }),
            UNUSABLE,
            "must be reachable",
        ),
        (
            "add",
            json!({ "name": "c", "url": taken }),
            UNUSABLE,
            "same server as shard redis-1",
        ),
        ("add", json!({ "name": "c", "url": "memory:" }), NONSENSE, "url"),
        ("add", json!({ "name": "c", "url": "" }), NONSENSE, "url"),
        ("add", json!({ "name": "", "url": spare.url() }), NONSENSE, "name"),
        (
            "add",
            json!({ "name": "c", "url": spare.url(), "weight": 0 }),
            NONSENSE,
            "1 or more",
        ),
        (
            "weight",
            json!({ "name": "redis-1", "weight": 0 }),
            NONSENSE,
            "1 or more",
        ),
        ("weight", json!({ "name": "redis-1" }), NONSENSE, "weight"),
    ];
    for (command, params, code, words) in cases {
        expect(&cluster, command, params, code, &[words]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_of_another_deployment_is_not_taken() -> Result<()> {
    let cluster = builder(1).start().await?;
    let other = builder(1).start().await?;
    let theirs = json!({ "name": "c", "url": other.shards[0].url() });
    expect(&cluster, "add", theirs, UNUSABLE, &["deployment", "prefix"]).await
}

#[tokio::test]
async fn the_last_shard_stays() -> Result<()> {
    let cluster = builder(1).start().await?;
    for command in ["drain", "remove"] {
        let words = ["no shard would be left", "add another one first"];
        expect(
            &cluster,
            command,
            json!({ "name": "redis-1" }),
            NOBODY_LEFT,
            &words,
        )
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_two_plans_at_once_one_is_refused() -> Result<()> {
    let cluster = builder(2).start().await?;
    let spare = RedisServer::start().await?;
    let api = api(&cluster);
    let (add, weight) = (
        json!({ "name": "c", "url": spare.url() }),
        json!({ "name": "redis-1", "weight": 2 }),
    );
    let (added, weighted) = tokio::join!(
        api.try_call("shards/add", &add),
        api.try_call("shards/weight", &weight)
    );
    let (added, weighted) = (added?, weighted?);
    let refusal = match (&added, &weighted) {
        (Ok(_), Err(refusal)) | (Err(refusal), Ok(_)) => refusal,
        both => panic!("one of the two, and only one: {both:?}"),
    };
    assert_eq!(refusal.code, UNDER_WAY, "{}", refusal.message);
    assert!(refusal.message.contains("wait"), "{}", refusal.message);
    let list = api.call("shards/list", &json!({})).await?;
    let shards = list["shards"].as_array().map_or(0, Vec::len);
    assert_eq!(shards, if added.is_ok() { 3 } else { 2 });
    let heavy = list["shards"]
        .as_array()
        .and_then(|shards| shards.iter().find(|it| it["name"] == "redis-1"));
    assert_eq!(
        heavy.context("redis-1 is listed")?["weight"],
        if weighted.is_ok() { 2 } else { 1 }
    );
    Ok(())
}

#[tokio::test]
async fn whoever_does_not_manage_the_list_is_told_who_does() -> Result<()> {
    let cluster = Cluster::builder().shards(2).gateways(1).start().await?;
    until_the_list_is_noted(&cluster).await;
    let api = api(&cluster);
    let before = document(&cluster).await?;
    for (command, params) in [
        ("add", json!({ "name": "c", "url": "redis://127.0.0.1:1" })),
        ("drain", json!({ "name": "redis-1" })),
        ("remove", json!({ "name": "redis-1" })),
        ("weight", json!({ "name": "redis-1", "weight": 2 })),
    ] {
        let refusal = api.try_call(&format!("shards/{command}"), &params).await?;
        let refusal = refusal.err().context("the file manages the list")?;
        assert_eq!(refusal.code, MANAGED_ELSEWHERE);
        assert!(
            refusal.message.contains("cluster.shards_managed_by is file"),
            "{}",
            refusal.message
        );
    }
    assert_eq!(document(&cluster).await?, before);
    let plan = api
        .call("shards/plan", &json!({ "drain": { "name": "redis-1" } }))
        .await?;
    assert!(
        plan["partitions"].as_u64() > Some(0) && plan["minimum"] == plan["partitions"],
        "{plan}"
    );
    Ok(())
}

#[tokio::test]
async fn every_gateway_tells_the_same_topology_in_numbers() -> Result<()> {
    let cluster = builder(2).gateways(2).start().await?;
    let expected = json!({ "shards": 2, "planned": 0, "moving": 0 });
    let numbers = |mut topology: Value| {
        topology.as_object_mut().map(|it| it.remove("generation"));
        topology
    };
    for gateway in &cluster.gateways {
        let (_, ready) = gateway.ready().await?;
        assert_eq!(ready["topology"]["generation"], ready["generation"]);
        assert_eq!(numbers(ready["topology"].clone()), expected);
        assert_eq!(ready["shards"][0]["state"], "active");
        let list = gateway.api().call("shards/list", &json!({})).await?;
        let row = &list["shards"][0];
        assert_eq!(
            (&row["reachable"], &row["state"]),
            (&json!(true), &json!("active"))
        );
        eventually("some gateway coordinates, and both know which", SOON, || async {
            let status = gateway.api().call("shards/status", &json!({})).await;
            status.is_ok_and(|status| status["leader"].is_string() && status["moves"].is_null())
        })
        .await;
    }
    let info = api(&cluster).call("info", &json!({})).await?;
    for node in info["nodes"].as_array().context("there are nodes")? {
        assert_eq!(numbers(node["topology"].clone()), expected);
    }
    Ok(())
}
