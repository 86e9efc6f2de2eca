//! What operators see and do.

use anyhow::Result;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::Gateway;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::redis::RedisServer;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
use serde_json::{Value, json};

use super::browser::{PATIENCE, Page};
use super::caller::Caller;
use super::{PASSWORD, SECRET, config};

/// What somebody chose who hopes that it becomes markup.
const HOSTILE_CHANNEL: &str = "chat:<img src=x onerror=document.title='gone'>";
const HOSTILE_USER: &str = "<b>eve</b>";

/// Two shards with something on them, and two gateways, with a user in a channel.
async fn cluster() -> Result<(Cluster, Puppet)> {
    let chat = json!({
        "presence": true,
        "history_size": 10,
        "history_ttl": "300s",
        "allow_subscribe_for_client": true,
    });
    let builder = Cluster::builder()
        .shards(2)
        .gateways(2)
        .set("admin.password", PASSWORD)
        .set("admin.secret", SECRET)
        .set("cluster.shards_managed_by", "api")
        // Slow enough to be looked at.
        .set("cluster.max_moving", 16)
        .namespace("chat", &chat);
    let cluster = builder.start().await?;
    let api = cluster.gateways[0].api();
    let channels: Vec<String> = (0..300).map(|number| format!("chat:{number}")).collect();
    let broadcast = json!({ "channels": channels, "data": { "text": "a".repeat(500) } });
    api.call("broadcast", &broadcast).await?;
    let user = Puppet::start(Sdk::JsJson)?;
    let token = token::connection(HOSTILE_USER);
    user.connect(&cluster.gateways[1].websocket_url(), &token).await?;
    for channel in [HOSTILE_CHANNEL, "chat:1", "chat:2"] {
        user.subscribe(channel).await?;
    }
    Ok((cluster, user))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reshard_is_watched_from_start_to_end() -> Result<()> {
    let (cluster, _user) = cluster().await?;
    let spare = RedisServer::start().await?;
    let page = Page::open(&cluster.gateways[0]).await?;
    page.looks("login").await?;
    page.login().await?;
    eventually("two shards and two gateways are listed", SOON, || async {
        (
            page.texts("#shards > tr").await.len(),
            page.texts("#gateways > tr").await.len(),
        ) == (2, 2)
    })
    .await;

    page.click("#add-shard").await?;
    page.fill("#change-name", "redis-3").await?;
    page.fill("#change-url", &spare.url()).await?;
    page.press("#change-url", "Enter").await?;
    page.shows("#decision-go", "Add redis-3").await;
    let plan = page.texts("#decision-body .lead").await;
    assert!(
        plan[0].contains("partitions will move: 3"),
        "about a third: {plan:?}"
    );
    page.looks("dialog-plan").await?;
    assert_eq!(
        page.texts("#shards > tr").await.len(),
        2,
        "a plan changes nothing"
    );
    confirm(&page, "Shard redis-3 is to be added: ").await?;
    // Or, if the page did not look in between, all of them.
    until("the page tells how the move goes", PATIENCE, || async {
        let said = page.texts("#journal").await.join(" ");
        let told = ["% of the partitions have arrived.", "Done: "];
        told.iter().any(|words| said.contains(words)).then_some(())
    })
    .await;
    page.looks("moving").await?;
    let done = until("the shard has its share", PATIENCE, || async {
        let said = page.texts("#moves-line").await;
        said.into_iter().find(|line| line.starts_with("Done: "))
    })
    .await;
    assert!(done.contains("partitions moved in"), "{done}");
    for shard in ["redis-1", "redis-2", "redis-3"] {
        let row = page.shows(&row(shard), "active").await;
        assert!(row.contains(" % · 1,"), "more than a thousand partitions: {row}");
    }
    page.looks("overview").await?;

    page.click(&format!("{} [data-action=drain]", row("redis-1")))
        .await?;
    page.shows("#decision-go", "Drain redis-1").await;
    page.shows("#decision-body .lead", "partitions will move").await;
    confirm(&page, "Shard redis-1 is draining; it was active.").await?;
    until("nothing is left on the drained shard", PATIENCE, || async {
        let row = page.texts(&row("redis-1")).await.pop()?;
        let said = page.texts("#moves-line").await.pop()?;
        (row.contains("0.0 % · 0") && row.contains("draining") && said.starts_with("Done: ")).then_some(())
    })
    .await;
    assert_eq!(page.mistakes(), Vec::<Value>::new());
    Ok(())
}

/// Confirms the plan that is shown, and the next one if the shards have changed meanwhile, until the page notes `done`.
async fn confirm(page: &Page, done: &str) -> Result<()> {
    const CHANGED: &str = "The shards have changed since";
    loop {
        page.click("#decision-go").await?;
        let is_done = until(
            "the change is made, or another plan is shown",
            PATIENCE,
            || async {
                let noted = page.texts("#journal").await.join(" ").contains(done);
                let changed = page.texts("#decision-problem").await.join(" ").contains(CHANGED);
                (noted || changed).then_some(noted)
            },
        )
        .await;
        if is_done {
            return Ok(());
        }
    }
}

/// The row of a shard.
fn row(shard: &str) -> String {
    format!("#shards > tr[data-key='{shard}']")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_and_users_are_looked_at_and_spoken_to() -> Result<()> {
    let (cluster, user) = cluster().await?;
    let page = Page::open(&cluster.gateways[0]).await?;
    page.fill("#password", "a wrong password").await?;
    page.press("#password", "Enter").await?;
    page.shows("#login-problem", "that is not the password").await;
    page.login().await?;

    page.shows("#channels", "chat:1").await;
    page.fill("#pattern", "<img").await?;
    eventually("the hostile channel alone is listed", SOON, || async {
        page.texts("#channels > tr th").await == [HOSTILE_CHANNEL]
    })
    .await;
    page.click("#channels > tr button").await?;
    page.shows("#inspector-body", HOSTILE_USER).await;
    let data =
        json!({ "text": "</pre><script>document.title = 'gone'</script>", "n": 9_007_199_254_740_993_u64 });
    page.fill("#publish-data", &data.to_string()).await?;
    page.click("#publish-form button").await?;
    page.shows("#publish-result", "Published as #1.").await;
    let received = user
        .event("publication", |event| event["channel"] == HOSTILE_CHANNEL)
        .await;
    assert_eq!(received["data"]["text"], data["text"]);
    let shown = page.shows("#inspector-body pre", "</pre><script>").await;
    assert!(shown.contains("9007199254740993"), "as it was written: {shown}");
    page.looks("dialog-channel").await?;

    page.click("#inspector-body .people button").await?;
    page.shows("#decision-title", &format!("Disconnect {HOSTILE_USER}?"))
        .await;
    page.click("#decision-go").await?;
    let gone = user.event("disconnected", |_| true).await;
    assert_eq!(gone["code"], 3503);
    page.shows("#journal", &format!("1 connection of {HOSTILE_USER} closed."))
        .await;

    let title = page
        .call(json!({ "do": "evaluate", "expression": "document.title" }))
        .await?;
    assert_eq!(title, "Campanile administration", "no text has become markup");
    page.click("#inspector-close").await?;
    page.click("#logout").await?;
    page.shows("#login-title", "Administration").await;
    let hidden =
        page.call(json!({ "do": "evaluate", "expression": "document.getElementById('main').hidden" }));
    assert_eq!(hidden.await?, true);
    assert_eq!(page.mistakes(), Vec::<Value>::new());
    Ok(())
}

/// The shards as a gateway's page is told of them.
async fn shards(operator: &Caller) -> Result<Value> {
    let state: Value = operator.state().await?.json().await?;
    Ok(state["shards"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_shown_is_carried_out_or_none() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let operator = Caller::logged_in(&gateway).await?;
    let listed = shards(&operator).await?["shards"].clone();
    let name = |index: usize| listed[index]["name"].as_str().unwrap_or_default().to_owned();
    let (mine, other) = (name(0), name(1));
    let page = Page::open(&gateway).await?;
    page.login().await?;
    page.click(&format!("{} [data-action=weight]", row(&mine)))
        .await?;
    page.fill("#change-weight", "3").await?;
    page.press("#change-weight", "Enter").await?;
    page.shows("#decision-go", "Give it weight 3").await;
    let before = page.texts("#decision-body").await;

    // Somebody else is faster.
    let weight = json!({ "name": other, "weight": 2 });
    gateway.api().call("shards/weight", &weight).await?;
    eventually("their plan is done", PATIENCE, || async {
        let shards = shards(&operator).await.unwrap_or_default();
        shards["moves"].is_null() && shards["shards"][1]["weight"] == 2
    })
    .await;
    page.click("#decision-go").await?;
    page.shows("#decision-problem", "nothing was done. This is the plan now.")
        .await;
    page.looks("dialog-outdated").await?;
    assert_ne!(page.texts("#decision-body").await, before);
    assert_eq!(shards(&operator).await?["shards"][0]["weight"], 1);

    confirm(&page, &format!("Shard {mine} is to have weight 3")).await?;
    eventually("the plan is carried out", PATIENCE, || async {
        let shards = shards(&operator).await.unwrap_or_default();
        shards["shards"][0]["weight"] == 3
    })
    .await;
    assert_eq!(page.mistakes(), Vec::<Value>::new());
    Ok(())
}
