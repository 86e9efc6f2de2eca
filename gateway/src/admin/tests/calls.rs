//! What is told to whoever is in, and done for them.

use super::*;

#[tokio::test]
async fn the_state_is_told_to_whoever_is_in() {
    let world = World::new().await;
    let session = world.session().await;
    let reply = world.get(&session, "/api/state").await;
    assert_eq!(reply.status, StatusCode::OK);
    let state = reply.json();
    assert_eq!(state["readiness"]["gateway"], "g");
    assert_eq!(state["shards"]["shards"][0]["name"], "a");
    assert_eq!(
        state["shards"]["partitions"]["owners"],
        json!([[0, 2048], [1, 2048]])
    );
    let load = json!({ "bytes": 2 << 20, "keys": 300, "operations": 40 });
    assert_eq!(state["loads"], json!({ "a": load }));
    assert_eq!(
        (state["gateways"].as_array().map(Vec::len), &state["silent"]),
        (Some(1), &json!([]))
    );
    let again = world.get(&session, "/api/state?since=7").await;
    assert!(
        again.json()["shards"].get("partitions").is_none(),
        "the page has them"
    );
    assert!(
        !state.to_string().contains("secret"),
        "credentials of shards stay inside"
    );
}

#[tokio::test]
async fn a_change_is_made_only_of_the_plan_that_was_seen() {
    let world = World::new().await;
    let session = world.session().await;
    let post = |path: &'static str, body: Value| {
        let (world, session) = (&world, &session);
        async move { world.call(session, &Method::POST, path, &body).await }
    };
    let drain = json!({ "drain": { "name": "a" } });
    let plan = post("/api/shards/plan", drain.clone()).await;
    assert_eq!(
        (plan.status, &plan.json()["partitions"]),
        (StatusCode::OK, &json!(1025))
    );
    assert!(world.shards.asked.lock().is_empty(), "a plan changes nothing");

    let confirm = |generation: u64, change: &Value| json!({ "generation": generation, "change": change });
    let late = post("/api/shards/change", confirm(6, &drain)).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    for nonsense in [json!({}), json!({ "drain": { "nam": "a" } })] {
        let reply = post("/api/shards/change", confirm(7, &nonsense)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{nonsense}");
    }
    assert!(world.shards.asked.lock().is_empty());

    let planned_on = plan.json()["generation"].as_u64().unwrap();
    world.shards.overtake();
    let overtaken = post("/api/shards/change", confirm(planned_on, &drain)).await;
    assert_eq!(overtaken.status, StatusCode::PRECONDITION_FAILED);
    let said = overtaken.json()["error"]["message"].to_string();
    assert!(
        said.contains("the shards have changed since this plan was made"),
        "{said}"
    );
    assert!(world.shards.asked.lock().is_empty());

    let plan = post("/api/shards/plan", drain.clone()).await;
    let planned_on = plan.json()["generation"].as_u64().unwrap();
    let done = post("/api/shards/change", confirm(planned_on, &drain)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.json());
    assert_eq!(world.shards.asked.lock().len(), 1);

    let unknown = post("/api/shards/plan", json!({ "drain": { "name": "nowhere" } })).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json()["error"]["message"], "there is no shard nowhere");
}

#[tokio::test]
async fn publishing_and_disconnecting_say_what_came_of_them() {
    let world = World::new().await;
    let session = world.session().await;
    let publication = json!({ "channel": "a", "data": { "n": 1 } });
    let reply = world.post(&session, "/api/publish", &publication).await;
    assert_eq!(reply.json(), json!({ "offset": 7, "epoch": "e" }));
    assert_eq!(world.channels.0.lock().as_slice(), [publication.to_string()]);
    let reply = world
        .call(
            &session,
            &Method::POST,
            "/api/disconnect",
            &json!({ "user": "ann" }),
        )
        .await;
    assert_eq!(reply.json(), json!({ "connections": 0 }));
    for nobody in [
        json!({}),
        json!({ "user": "" }),
        json!({ "user": "a", "client": "b" }),
    ] {
        let reply = world.post(&session, "/api/disconnect", &nobody).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{nobody}");
    }
    let reply = world.get(&session, "/api/channel?channel=x").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}
