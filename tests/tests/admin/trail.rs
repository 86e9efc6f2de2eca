//! What the log says.

use anyhow::{Context as _, Result};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::wait::{SOON, until};
use serde_json::{Value, json};

use super::caller::Caller;
use super::{PASSWORD, config};

/// The line of the log that has these words, once there is one.
async fn logged(gateway: &Gateway, words: &str) -> String {
    until(&format!("the log says {words:?}"), SOON, || async {
        let log = gateway.process().log();
        log.lines().find(|line| line.contains(words)).map(str::to_owned)
    })
    .await
}

/// The value of a field in a line of the log.
fn field<'a>(line: &'a str, name: &str) -> Result<&'a str> {
    let start = format!(" {name}=");
    let (_, rest) = line
        .split_once(&start)
        .with_context(|| format!("{name} in {line}"))?;
    Ok(rest.split(' ').next().unwrap_or_default())
}

#[tokio::test]
async fn the_log_says_who_has_changed_what() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let operator = Caller::logged_in(&gateway).await?;
    let other = Caller::logged_in(&gateway).await?;
    assert_eq!(operator.publishes().await?, 200);
    let gone = operator.post("disconnect", &json!({ "user": "ann" })).await?;
    assert_eq!(gone.status(), 200);
    let state: Value = operator.state().await?.json().await?;
    let shard = &state["shards"]["shards"][0]["name"];
    let weight = json!({ "weight": { "name": shard, "weight": 2 } });
    // A new topology may have a last change of its own yet; then there is another plan.
    let confirmed = until("a plan is carried out", SOON, || async {
        let plan = operator.post("shards/plan", &weight).await.ok()?;
        let plan: Value = plan.json().await.ok()?;
        let confirmed = json!({ "generation": plan["generation"], "change": weight });
        let done = operator.post("shards/change", &confirmed).await.ok()?;
        (done.status() == 200).then_some(confirmed)
    })
    .await;
    let again = other.post("shards/change", &confirmed).await?;
    assert_eq!(again.status(), 412, "it was the plan of another topology");

    let login = logged(&gateway, "an operator has logged in").await;
    let session = field(&login, "session")?;
    assert!((8..=10).contains(&session.len()), "a short name: {login}");
    let cookie = operator.cookie.as_deref().unwrap_or_default();
    assert!(
        !cookie.contains(session.trim_matches('"')),
        "the session itself is told"
    );
    for (words, fields) in [
        ("an operator has published", vec![("channel", r#""a""#)]),
        (
            "an operator has disconnected a user",
            vec![("user", r#""ann""#), ("closed", "0")],
        ),
        (
            "an operator has changed the shards",
            vec![("command", r#""weight""#), ("shard", &*shard.to_string())],
        ),
    ] {
        let line = logged(&gateway, words).await;
        assert!(line.contains(" INFO "), "{line}");
        assert_eq!(
            (field(&line, "session")?, field(&line, "peer")?),
            (session, "127.0.0.1")
        );
        for (name, value) in fields {
            assert_eq!(field(&line, name)?, value, "{line}");
        }
    }
    until("the log names the other one too", SOON, || async {
        let log = gateway.process().log();
        let mut failed = log
            .lines()
            .filter(|line| line.contains("an operator's change of the shards failed"));
        failed
            .any(|line| field(line, "session").is_ok_and(|other| other != session))
            .then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn sessions_that_hold_at_one_gateway_of_several_are_warned_about_once() -> Result<()> {
    const WARNING: &str = "admin.secret: not set; a session of the administration page";
    let cluster = Cluster::builder().shards(1).gateways(1);
    let cluster = cluster.set("admin.password", PASSWORD).start().await?;
    let log = cluster.gateways[0].process().log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(WARNING)).collect();
    assert!(matches!(&*lines, [line] if line.contains(" WARN ")), "{lines:?}");
    let alone = Gateway::start(&GatewayConfig::default().set("admin.password", PASSWORD)).await?;
    assert!(
        !alone.process().log().contains(WARNING),
        "there is no other gateway"
    );
    Ok(())
}
