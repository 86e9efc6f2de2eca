//! `campanile` without arguments: a page on which browser tabs talk, on shards in the process itself.

use anyhow::{Context as _, Result};
use campanile_tests::api::Api;
use campanile_tests::gateway::Gateway;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

const MESSAGE: &str = "#log li:not(.event)";
const INPUT: &str = "#text";

/// A browser and the tabs of it that show the page.
struct Browser(Puppet);

impl Browser {
    async fn open(&self, tab: &str, url: &str) -> Result<()> {
        self.0
            .call(json!({ "do": "open", "tab": tab, "url": url }))
            .await
            .map(drop)
    }

    async fn say(&self, tab: &str, text: &str) -> Result<()> {
        self.0
            .call(json!({ "do": "fill", "tab": tab, "selector": INPUT, "value": text }))
            .await?;
        self.0
            .call(json!({ "do": "press", "tab": tab, "selector": INPUT, "key": "Enter" }))
            .await
            .map(drop)
    }

    /// Waits until the tab shows these messages, and no others, in this order.
    async fn shows(&self, tab: &str, messages: &[&str]) {
        eventually(&format!("tab {tab} shows {messages:?}"), SOON, || async {
            let texts = self
                .0
                .call(json!({ "do": "texts", "tab": tab, "selector": MESSAGE }))
                .await;
            let texts = texts.unwrap_or_default();
            let shown: Vec<_> = texts
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            shown.len() == messages.len() && shown.iter().zip(messages).all(|(shown, it)| shown.contains(it))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_talk_and_a_reloaded_one_remembers() -> Result<()> {
    let mut gateway = Gateway::launch_bare().await?;
    gateway.wait_until_ready().await;
    let browser = Browser(Puppet::node("browser.mjs", &[])?);
    browser.open("one", gateway.url()).await?;
    browser.open("two", gateway.url()).await?;
    browser.say("one", "is anybody there?").await?;
    browser.shows("two", &["is anybody there?"]).await;
    browser.say("two", "a bell tower: <b>&").await?;
    let said = ["is anybody there?", "a bell tower: <b>&"];
    for tab in ["one", "two"] {
        browser.shows(tab, &said).await;
    }

    browser.0.call(json!({ "do": "reload", "tab": "one" })).await?;
    browser.shows("one", &said).await;
    browser.say("one", "I remember").await?;
    for tab in ["one", "two"] {
        browser.shows(tab, &[said[0], said[1], "I remember"]).await;
    }
    assert_eq!(browser.0.events_of("page_error"), Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn the_printed_key_and_secret_work_and_differ_each_time() -> Result<()> {
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let mut gateway = Gateway::launch_bare().await?;
        gateway.wait_until_ready().await;
        let output = gateway.process().output();
        let (key, secret) = (printed(&output, "API key")?, printed(&output, "token secret")?);
        assert!(key.len() >= 20 && secret.len() >= 20, "{output}");

        Api::new(gateway.url(), &key).publish("demo:x", &json!(1)).await?;
        assert_eq!(Api::new(gateway.url(), "").post("publish", "{}").await?.0, 401);
        let token = token::sign(
            &json!({ "sub": "ann", "exp": token::seconds_from_now(60) }),
            &secret,
        );
        let client = Puppet::start(Sdk::PythonJson)?;
        client.connect(&gateway.websocket_url(), &token).await?;
        secrets.extend([key, secret]);
    }
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), 4);
    Ok(())
}

/// The last word of the line on which `name` is printed.
fn printed(output: &str, name: &str) -> Result<String> {
    let line = output
        .lines()
        .find(|line| line.to_lowercase().contains(&name.to_lowercase()));
    let word = line.and_then(|line| line.split_whitespace().last());
    Ok(word
        .with_context(|| format!("no {name} in:\n{output}"))?
        .to_owned())
}
