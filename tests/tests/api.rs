//! Every method of the server API, over plain HTTP and through the official Python library, asked at either gateway.

use anyhow::{Context as _, Result};
use campanile_tests::api::Api;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{API_KEY, Gateway};
use campanile_tests::puppet::Puppet;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::Wire;
use serde_json::{Value, json};

async fn cluster() -> Result<Cluster> {
    let stream = json!({
        "history_size": 100,
        "history_ttl": "300s",
        "force_recovery": true,
        "presence": true,
        "join_leave": true,
        "force_push_join_leave": true,
        "allow_subscribe_for_client": true,
    });
    Cluster::builder()
        .shards(3)
        .gateways(2)
        .namespace("stream", &stream)
        .namespace("plain", &json!({ "allow_subscribe_for_client": true }))
        // Within it the other gateway answers on a slow machine, too.
        .set("cluster.command_timeout", "5s")
        .start()
        .await
}

/// A client of `user`, connected and subscribed.
async fn subscriber(gateway: &Gateway, user: &str, channel: &str) -> Result<Wire> {
    let mut wire = Wire::connect(&gateway.websocket_url(), &token::connection(user)).await?;
    wire.subscribe(channel).await?;
    Ok(wire)
}

#[tokio::test]
async fn publish_reaches_subscribers_of_both_gateways_and_tells_the_position() -> Result<()> {
    let cluster = cluster().await?;
    let mut readers = Vec::new();
    for gateway in &cluster.gateways {
        readers.push(subscriber(gateway, "reader", "stream:a").await?);
    }
    let mut last = (0, String::new());
    for gateway in &cluster.gateways {
        let params = json!({ "channel": "stream:a", "data": { "n": 1 }, "tags": { "colour": "red" } });
        let result = gateway.api().call("publish", &params).await?;
        let position = (
            result["offset"].as_u64().context("an offset")?,
            result["epoch"].to_string(),
        );
        assert_eq!(position.0, last.0 + 1, "offsets are dense, whoever publishes");
        assert!(last.0 == 0 || position.1 == last.1, "the epoch stays");
        last = position;
        for reader in &mut readers {
            let (_, publication) = reader.publication().await?;
            assert_eq!(publication["data"], json!({ "n": 1 }));
            assert_eq!(publication["tags"], json!({ "colour": "red" }));
            assert_eq!(publication["offset"], last.0);
        }
    }
    Ok(())
}

#[tokio::test]
async fn publish_with_an_idempotency_key_is_done_once() -> Result<()> {
    let cluster = cluster().await?;
    let params = json!({ "channel": "stream:a", "data": 1, "idempotency_key": "k" });
    let first = cluster.gateways[0].api().call("publish", &params).await?;
    let second = cluster.gateways[1].api().call("publish", &params).await?;
    assert_eq!(first, second);
    assert_eq!(cluster.gateways[0].api().history("stream:a").await?, [json!(1)]);
    Ok(())
}

#[tokio::test]
async fn publish_with_an_older_version_is_suppressed() -> Result<()> {
    let cluster = cluster().await?;
    for (version, data) in [(2, "new"), (1, "old"), (3, "newest")] {
        let params = json!({ "channel": "stream:a", "data": data, "version": version });
        cluster.gateways[0].api().call("publish", &params).await?;
    }
    assert_eq!(
        cluster.gateways[1].api().history("stream:a").await?,
        [json!("new"), json!("newest")]
    );
    Ok(())
}

#[tokio::test]
async fn publish_that_skips_history_is_delivered_and_not_kept() -> Result<()> {
    let cluster = cluster().await?;
    let mut reader = subscriber(&cluster.gateways[1], "reader", "stream:a").await?;
    let params = json!({ "channel": "stream:a", "data": "passing", "skip_history": true });
    cluster.gateways[0].api().call("publish", &params).await?;
    let (_, publication) = reader.publication().await?;
    assert_eq!(publication["data"], "passing");
    assert_eq!(
        cluster.gateways[0].api().history("stream:a").await?,
        Vec::<Value>::new()
    );
    Ok(())
}

#[tokio::test]
async fn broadcast_answers_for_each_channel() -> Result<()> {
    let cluster = cluster().await?;
    let params = json!({ "channels": ["stream:a", "nowhere:b", "plain:c"], "data": 1 });
    let result = cluster.gateways[0].api().call("broadcast", &params).await?;
    let responses = result["responses"].as_array().context("responses")?;
    assert_eq!(responses.len(), 3);
    assert_eq!(responses[0]["result"]["offset"], 1);
    assert_eq!(responses[1]["error"]["code"], 102, "an unknown namespace");
    assert!(responses[2].get("error").is_none(), "{}", responses[2]);
    Ok(())
}

#[tokio::test]
async fn history_is_read_by_limit_position_and_direction() -> Result<()> {
    let cluster = cluster().await?;
    for number in 1..=5 {
        cluster.gateways[0]
            .api()
            .publish("stream:a", &json!(number))
            .await?;
    }
    for gateway in &cluster.gateways {
        let api = gateway.api();
        let read = async |params: Value| -> Result<(Vec<Value>, Value)> {
            let mut params = params;
            params["channel"] = json!("stream:a");
            let result = api.call("history", &params).await?;
            let publications = result["publications"].as_array().cloned().unwrap_or_default();
            Ok((publications.iter().map(|it| it["data"].clone()).collect(), result))
        };
        let (none, position) = read(json!({})).await?;
        assert_eq!(
            none,
            Vec::<Value>::new(),
            "without a limit only the position is given"
        );
        assert_eq!(position["offset"], 5);
        let epoch = &position["epoch"];
        assert_eq!(read(json!({ "limit": 2 })).await?.0, [json!(1), json!(2)]);
        assert_eq!(
            read(json!({ "limit": 2, "reverse": true })).await?.0,
            [json!(5), json!(4)]
        );
        let since = json!({ "offset": 3, "epoch": epoch });
        assert_eq!(
            read(json!({ "limit": -1, "since": since })).await?.0,
            [json!(4), json!(5)]
        );
        assert_eq!(
            read(json!({ "limit": -1, "since": since, "reverse": true }))
                .await?
                .0,
            [json!(2), json!(1)]
        );
        let unknown =
            json!({ "channel": "stream:a", "limit": 1, "since": { "offset": 3, "epoch": "other" } });
        assert_eq!(error_code(&api, "history", &unknown).await?, 112);
    }
    cluster.gateways[1]
        .api()
        .call("history_remove", &json!({ "channel": "stream:a" }))
        .await?;
    let after = cluster.gateways[0]
        .api()
        .call("history", &json!({ "channel": "stream:a", "limit": -1 }))
        .await?;
    assert_eq!(after["publications"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(after["offset"], 5, "the position stays");
    Ok(())
}

#[tokio::test]
async fn presence_channels_and_info_tell_the_same_at_both_gateways() -> Result<()> {
    let cluster = cluster().await?;
    let _clients = [
        subscriber(&cluster.gateways[0], "ann", "stream:a").await?,
        subscriber(&cluster.gateways[1], "ann", "stream:a").await?,
        subscriber(&cluster.gateways[1], "bob", "stream:b").await?,
    ];
    for gateway in &cluster.gateways {
        let api = gateway.api();
        eventually("both clients are present", SOON, || async {
            api.presence("stream:a")
                .await
                .is_ok_and(|clients| clients.len() == 2)
        })
        .await;
        let presence = api.call("presence", &json!({ "channel": "stream:a" })).await?;
        for (client, info) in presence["presence"].as_object().context("presence")? {
            assert_eq!(info["client"], **client);
            assert_eq!(info["user"], "ann");
        }
        let stats = api
            .call("presence_stats", &json!({ "channel": "stream:a" }))
            .await?;
        assert_eq!(
            (&stats["num_clients"], &stats["num_users"]),
            (&json!(2), &json!(1))
        );

        let channels = api.call("channels", &json!({})).await?;
        assert_eq!(channels["channels"]["stream:a"]["num_clients"], 2);
        assert_eq!(channels["channels"]["stream:b"]["num_clients"], 1);
        let some = api.call("channels", &json!({ "pattern": "*:b" })).await?;
        assert_eq!(
            some["channels"]
                .as_object()
                .map(|it| it.keys().cloned().collect()),
            Some(vec!["stream:b".to_owned()])
        );

        let info = api.call("info", &json!({})).await?;
        let nodes = info["nodes"].as_array().context("nodes")?;
        let mut names: Vec<_> = nodes.iter().filter_map(|node| node["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["gateway-1", "gateway-2"]);
        let clients: u64 = nodes.iter().filter_map(|node| node["num_clients"].as_u64()).sum();
        assert_eq!(clients, 3);
    }
    Ok(())
}

#[tokio::test]
async fn commands_to_users_reach_them_at_the_other_gateway() -> Result<()> {
    let cluster = cluster().await?;
    let (here, there) = (cluster.gateways[0].api(), &cluster.gateways[1]);
    let mut ann = Wire::connect(&there.websocket_url(), &token::connection("ann")).await?;
    let mut bob = Wire::connect(&there.websocket_url(), &token::connection("bob")).await?;

    here.call(
        "subscribe",
        &json!({ "user": "ann", "channel": "stream:a", "data": { "hello": 1 } }),
    )
    .await?;
    let push = ann.push().await?;
    assert_eq!(push["channel"], "stream:a");
    assert_eq!(push["subscribe"]["data"], json!({ "hello": 1 }));
    here.publish("stream:a", &json!(1)).await?;
    assert_eq!(ann.publication().await?.1["data"], 1);

    // The call has returned, so it is done: a publication after it arrives no more.
    here.call("unsubscribe", &json!({ "user": "ann", "channel": "stream:a" }))
        .await?;
    here.publish("stream:a", &json!(2)).await?;
    let unsubscribed = loop {
        let push = ann.push().await?;
        assert!(
            push.get("pub").is_none(),
            "nothing is published to those who are unsubscribed: {push}"
        );
        if let Some(unsubscribe) = push.get("unsubscribe") {
            break unsubscribe.clone();
        }
    };
    assert_eq!(unsubscribed["code"], 2000);

    let params = json!({ "user": "ann", "expire_at": token::seconds_from_now(7200) });
    here.call("refresh", &params).await?;
    here.call("disconnect", &json!({ "user": "ann" })).await?;
    assert_eq!(ann.closed().await?.code, 3503);
    here.call("disconnect", &json!({ "user": "nobody" })).await?;
    let own = json!({ "user": "bob", "disconnect": { "code": 4242, "reason": "because" } });
    assert!(
        bob.is_alive().await,
        "only the user that was named is disconnected"
    );
    here.call("disconnect", &own).await?;
    let closed = bob.closed().await?;
    assert_eq!((closed.code, closed.reason.as_str()), (4242, "because"));
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_a_command_is_named() -> Result<()> {
    let cluster = cluster().await?;
    let [here, there] = &cluster.gateways[..] else {
        panic!("two gateways")
    };
    let mut ann = Wire::connect(&there.websocket_url(), &token::connection("ann")).await?;
    there.process().pause();
    let params = json!({ "user": "ann" });
    let error = here
        .api()
        .try_call("disconnect", &params)
        .await?
        .err()
        .context("it was acknowledged")?;
    assert_eq!(error.code, 100);
    assert!(error.message.contains("gateway-2"), "{error:?}");
    there.process().resume();
    here.api().call("disconnect", &params).await?;
    assert_eq!(ann.closed().await?.code, 3503);
    Ok(())
}

#[tokio::test]
async fn batch_answers_in_order_and_errors_are_errors() -> Result<()> {
    let cluster = cluster().await?;
    let api = cluster.gateways[0].api();
    for parallel in [false, true] {
        let commands = json!([
            { "publish": { "channel": "stream:a", "data": 1 } },
            { "publish": { "channel": "nowhere:a", "data": 1 } },
            { "presence_stats": { "channel": "stream:a" } },
        ]);
        let reply = api
            .call("batch", &json!({ "commands": commands, "parallel": parallel }))
            .await?;
        let replies = reply["replies"].as_array().with_context(|| reply.to_string())?;
        assert_eq!(replies.len(), 3, "{reply}");
        assert!(replies[0]["publish"]["offset"].as_u64() > Some(0), "{reply}");
        assert_eq!(replies[1]["error"]["code"], 102, "{reply}");
        assert_eq!(
            replies[2]["presence_stats"]["num_clients"]
                .as_u64()
                .unwrap_or_default(),
            0
        );
    }
    assert_eq!(
        error_code(&api, "publish", &json!({ "channel": "nowhere:a", "data": 1 })).await?,
        102
    );
    assert_eq!(error_code(&api, "publish", &json!({ "data": 1 })).await?, 107);
    assert_eq!(
        error_code(&api, "presence", &json!({ "channel": "plain:a" })).await?,
        108
    );
    assert_eq!(
        error_code(&api, "history", &json!({ "channel": "plain:a" })).await?,
        108
    );
    Ok(())
}

#[tokio::test]
async fn the_key_is_demanded_in_either_form() -> Result<()> {
    let cluster = cluster().await?;
    let base = cluster.gateways[0].url();
    for key in ["", "wrong", &API_KEY[1..]] {
        let (status, _) = Api::new(base, key).post("info", "{}").await?;
        assert_eq!(status, 401, "key {key:?}");
    }
    let response = reqwest::Client::new()
        .post(format!("{base}/api/info"))
        .header("Authorization", format!("apikey {API_KEY}"))
        .body("{}")
        .send()
        .await?;
    assert_eq!(response.status(), 200);
    Ok(())
}

#[tokio::test]
async fn errors_become_http_statuses_when_asked_to() -> Result<()> {
    let cluster = cluster().await?;
    let api_url = format!("{}/api", cluster.gateways[0].url());
    let cases = [
        ("publish", json!({ "channel": "nowhere:a", "data": 1 }), 404),
        ("publish", json!({ "data": 1 }), 400),
        ("history", json!({ "channel": "plain:a" }), 400),
    ];
    for (method, params, status) in cases {
        let response = reqwest::Client::new()
            .post(format!("{api_url}/{method}"))
            .header("X-API-Key", API_KEY)
            .header("X-Centrifugo-Error-Mode", "transport")
            .body(params.to_string())
            .send()
            .await?;
        assert_eq!(response.status().as_u16(), status, "{method} {params}");
    }
    Ok(())
}

#[tokio::test]
async fn the_official_library_can_call_every_method_at_both_gateways() -> Result<()> {
    let cluster = cluster().await?;
    for (here, there) in [(0, 1), (1, 0)] {
        let channel = format!("stream:{here}");
        let user = format!("user-{here}");
        let cent = Puppet::start_api(cluster.gateways[here].url(), API_KEY)?;
        let call =
            async |method: &str, params: Value| cent.call(json!({ "call": method, "with": params })).await;
        let mut client = subscriber(&cluster.gateways[there], &user, &channel).await?;

        let published = call("publish", json!({ "channel": channel, "data": { "n": 1 } })).await?;
        assert_eq!(published["offset"], 1);
        let broadcast = call(
            "broadcast",
            json!({ "channels": [channel, "plain:x"], "data": { "n": 2 } }),
        )
        .await?;
        assert_eq!(broadcast["responses"][0]["result"]["offset"], 2);
        for number in 1..=2 {
            assert_eq!(client.publication().await?.1["data"], json!({ "n": number }));
        }

        let history = call("history", json!({ "channel": channel, "limit": 10 })).await?;
        assert_eq!(history["publications"].as_array().map(Vec::len), Some(2));
        eventually("the client is present", SOON, || async {
            let presence = call("presence", json!({ "channel": channel })).await;
            presence.is_ok_and(|it| it["presence"].as_object().is_some_and(|it| it.len() == 1))
        })
        .await;
        assert_eq!(
            call("presence_stats", json!({ "channel": channel })).await?["num_users"],
            1
        );
        assert_eq!(
            call("channels", json!({})).await?["channels"][&channel]["num_clients"],
            1
        );
        assert_eq!(
            call("info", json!({})).await?["nodes"].as_array().map(Vec::len),
            Some(2)
        );

        let batch = json!([
            { "call": "publish", "with": { "channel": channel, "data": 3 } },
            { "call": "presence_stats", "with": { "channel": channel } },
        ]);
        let replies = cent.call(json!({ "call": "batch", "with": batch })).await?;
        assert_eq!(replies["replies"][0]["offset"], 3);
        assert_eq!(replies["replies"][1]["num_clients"], 1);

        call("history_remove", json!({ "channel": channel })).await?;
        assert_eq!(
            call("history", json!({ "channel": channel, "limit": 10 })).await?["publications"],
            json!([])
        );
        call("subscribe", json!({ "user": user, "channel": "plain:x" })).await?;
        call("unsubscribe", json!({ "user": user, "channel": "plain:x" })).await?;
        call(
            "refresh",
            json!({ "user": user, "expire_at": token::seconds_from_now(7200) }),
        )
        .await?;
        call("disconnect", json!({ "user": user })).await?;
        assert_eq!(client.closed().await?.code, 3503);

        let refused =
            cent.try_call(json!({ "call": "publish", "with": { "channel": "nowhere:x", "data": 1 } }));
        assert_eq!(refused.await?.map_err(|error| error.code), Err(102));
    }
    Ok(())
}

async fn error_code(api: &Api, method: &str, params: &Value) -> Result<u64> {
    let result = api.try_call(method, params).await?;
    Ok(result
        .err()
        .with_context(|| format!("{method} {params} succeeded"))?
        .code)
}
