use std::time::Duration;

use campanile_shard_router::shard::ShardStatus;
use campanile_shard_router::topology::ShardState;
use serde_json::{Value, json};

use super::testing::{admin, id};
use super::*;
use crate::cluster::Progress;
use crate::config::ManagedBy;

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_list_has_what_operators_and_scripts_need() {
    let (admin, fake) = admin(ManagedBy::Api);
    fake.broken
        .lock()
        .insert(id("b"), ShardStatus::Unreachable("connection refused".to_owned()));
    assert_eq!(
        json_of(&admin.list().await.unwrap()),
        json!({
            "generation": 7,
            "managed_by": "api",
            "shards": [
                { "name": "a", "address": "10.0.0.1:1", "state": "active", "weight": 1, "durable": false,
                  "partitions": 2048, "share": 0.5, "incarnation": null, "reachable": true },
                { "name": "b", "address": "10.0.0.1:2", "state": "active", "weight": 1, "durable": false,
                  "partitions": 2048, "share": 0.5, "incarnation": null, "reachable": false,
                  "trouble": "connection refused" },
            ],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_coordinating_gateway_says_of_a_shard_goes_first() {
    let (admin, fake) = admin(ManagedBy::Api);
    fake.edit(|topology| topology.shards.get_mut(&id("a")).unwrap().state = ShardState::Lost);
    let troubles = [("b".to_owned(), "it is a replica".to_owned())];
    fake.leading.lock().as_mut().unwrap().troubles = troubles.into();
    let list = admin.list().await.unwrap();
    assert!(!list.shards[0].reachable && list.shards[0].trouble.is_some());
    assert_eq!(list.shards[1].trouble.as_deref(), Some("it is a replica"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_has_its_size_where_every_source_says_what_it_holds() {
    let (admin, _) = admin(ManagedBy::Api);
    let drain = Change::Drain(Drain {
        name: "a".to_owned(),
        undo: false,
    });
    let plan = admin.plan(Some(drain)).await.unwrap();
    assert_eq!(
        json_of(&plan),
        json!({
            "generation": 7,
            "moves": [
                { "from": "a", "to": "b", "partitions": 1024, "share": 0.25, "bytes": 1 << 20 },
                { "from": "b", "to": "a", "partitions": 1, "share": 1.0 / 4096.0, "bytes": null },
            ],
            "partitions": 1025,
            "share": 1025.0 / 4096.0,
            "bytes": null,
            "minimum": 1000,
            "shards": [
                { "name": "a", "before": 2048, "after": 1025, "share": 1025.0 / 4096.0 },
                { "name": "b", "before": 2048, "after": 3071, "share": 3071.0 / 4096.0 },
            ],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn the_present_plan_is_what_has_not_arrived() {
    let (admin, fake) = admin(ManagedBy::File);
    let idle = admin.plan(None).await.unwrap();
    assert_eq!((idle.partitions, idle.moves.len(), idle.generation), (0, 0, 7));
    fake.plan_moves(64, 16);
    let plan = admin.plan(None).await.unwrap();
    assert_eq!(
        (plan.partitions, plan.minimum, plan.bytes),
        (64, 64, Some(1 << 16))
    );
    assert_eq!((plan.shards[0].before, plan.shards[0].after), (2048, 1984));
}

#[tokio::test(start_paused = true)]
async fn progress_comes_from_whoever_leads_and_else_from_the_topology() {
    let (admin, fake) = admin(ManagedBy::Api);
    let query = StatusQuery::default();
    let idle = admin.status(query).await.unwrap();
    assert_eq!((idle.moves, idle.leader.as_deref()), (None, Some("g-1")));

    fake.plan_moves(64, 16);
    fake.edit(|topology| topology.planned = 128);
    fake.leading.lock().as_mut().unwrap().moves = Some(Progress {
        bytes: 4096,
        seconds: 16.0,
        stage: "copying".to_owned(),
        ..Progress::default()
    });
    let moves = admin.status(query).await.unwrap().moves.unwrap();
    assert_eq!(
        (moves.planned, moves.done, moves.left, moves.moving),
        (128, 64, 48, 16)
    );
    assert_eq!(
        (moves.rate, moves.byte_rate, moves.remaining),
        (Some(4.0), Some(256.0), Some(16.0))
    );
    assert_eq!(moves.stage.as_deref(), Some("copying"));
    assert_eq!((moves.groups.len(), moves.groups[0].partitions), (1, 64));

    *fake.leading.lock() = None;
    let status = admin.status(query).await.unwrap();
    let moves = status.moves.unwrap();
    assert_eq!((status.leader, moves.done, moves.rate), (None, 64, None));
}

#[tokio::test(start_paused = true)]
async fn the_partition_map_is_told_when_it_is_news() {
    let (admin, fake) = admin(ManagedBy::Api);
    fake.plan_moves(3, 2);
    let status = |since| {
        admin.status(StatusQuery {
            partitions: true,
            since,
        })
    };
    let told = status(6).await.unwrap().partitions;
    assert_eq!(
        json_of(&told),
        json!({ "owners": [[0, 2048], [1, 2048]], "moving": [[0, 1], [1, 1]] })
    );
    assert_eq!(status(7).await.unwrap().partitions, None);
}

#[tokio::test(start_paused = true)]
async fn what_the_setting_forbids_is_refused_and_says_so() {
    let weight = || {
        Change::Weight(Weight {
            name: "a".to_owned(),
            weight: 2,
        })
    };
    let (elsewhere, fake) = admin(ManagedBy::File);
    let refusal = elsewhere.change(weight()).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ManagedElsewhere);
    assert!(
        refusal.message.contains("cluster.shards_managed_by is file") && refusal.message.contains("`shards`"),
        "{refusal}"
    );
    assert!(fake.asked.lock().is_empty());
    assert!(
        elsewhere.plan(Some(weight())).await.is_ok(),
        "a plan changes nothing"
    );

    let (here, fake) = admin(ManagedBy::Api);
    here.change(weight()).await.unwrap();
    assert_eq!(*fake.asked.lock(), [weight()]);
}

#[tokio::test(start_paused = true)]
async fn without_a_topology_there_is_nothing_to_tell_yet() {
    let (admin, fake) = admin(ManagedBy::Api);
    *fake.topology.lock() = None;
    let refusal = admin.list().await.unwrap_err();
    assert_eq!((refusal.code, refusal.code.code()), (RefusalCode::NotNow, 100));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_whoever_leads() {
    let (admin, fake) = admin(ManagedBy::Api);
    *fake.leading.lock() = None;
    let started = tokio::time::Instant::now();
    admin.list().await.unwrap();
    assert!(started.elapsed() <= Duration::from_secs(1));
}

#[test]
fn parameters_are_read_strictly() {
    let add: Add = parse(br#"{ "name": "a", "url": "redis://h" }"#).unwrap();
    assert_eq!((add.weight, add.durable), (1, false));
    assert!(!format!("{add:?}").contains("redis"));
    for params in ["[]", "{", r#"{"name": 1}"#, r#"{"nme": "a"}"#, "", "null"] {
        assert_eq!(
            parse::<Remove>(params.as_bytes()).unwrap_err().code,
            RefusalCode::Nonsense,
            "{params}"
        );
    }
    let hypothetical = |params: &str| Change::hypothetical(params.as_bytes());
    assert_eq!(hypothetical("").unwrap(), None);
    assert!(matches!(
        hypothetical(r#"{"remove": {"name": "a"}}"#),
        Ok(Some(Change::Remove(_)))
    ));
    assert!(hypothetical(r#"{"remove": {"name": "a"}, "drain": {"name": "b"}}"#).is_err());
}
