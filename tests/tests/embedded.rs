//! `campanile` without arguments: a page on which browser tabs talk, on shards in the process itself.

use anyhow::{Context as _, Result};
use campanile_tests::api::Api;
use campanile_tests::gateway::Gateway;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
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

    async fn click(&self, tab: &str, selector: &str) -> Result<()> {
        self.0
            .call(json!({ "do": "click", "tab": tab, "selector": selector }))
            .await
            .map(drop)
    }

    /// Says something in each tab, several times.
    async fn talk(&self, said: &mut Vec<String>) -> Result<()> {
        for _ in 0..5 {
            for tab in ["one", "two"] {
                let text = format!("message {}", said.len());
                self.say(tab, &text).await?;
                said.push(text);
                // Two tabs have no common order unless one waits for the other.
                let said: Vec<&str> = said.iter().map(String::as_str).collect();
                self.shows(tab, &said).await;
            }
        }
        Ok(())
    }

    /// The texts of what `selector` finds.
    async fn texts(&self, tab: &str, selector: &str) -> Vec<String> {
        let texts = self
            .0
            .call(json!({ "do": "texts", "tab": tab, "selector": selector }))
            .await;
        let texts = texts.unwrap_or_default();
        let texts = texts.as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Waits until the tab shows these messages, and no others, in this order.
    async fn shows(&self, tab: &str, messages: &[&str]) {
        eventually(&format!("tab {tab} shows {messages:?}"), SOON, || async {
            let shown = self.texts(tab, MESSAGE).await;
            shown.len() == messages.len() && shown.iter().zip(messages).all(|(shown, it)| shown.contains(it))
        })
        .await;
    }

    /// Waits until the tab lists so many shards, and each row is as it should be.
    async fn rows(&self, tab: &str, count: usize, is_right: impl Fn(&str) -> bool) {
        eventually(&format!("tab {tab} lists {count} shards"), SOON, || async {
            let rows = self.texts(tab, SHARDS).await;
            rows.len() == count && rows.iter().all(|row| is_right(row))
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

/// The shards on the page: name, share and what can be done, as each row says it.
const SHARDS: &str = "#shards li";

/// What tells whether anything was lost or a connection broke.
const EVENTS: &str = "#log li.event";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_come_and_go_on_the_page_while_two_tabs_talk() -> Result<()> {
    let mut gateway = Gateway::launch_bare().await?;
    gateway.wait_until_ready().await;
    let browser = Browser(Puppet::node("browser.mjs", &[])?);
    for tab in ["one", "two"] {
        browser.open(tab, gateway.url()).await?;
        browser.rows(tab, 4, |row| row.contains("Drain")).await;
    }
    let mut said = Vec::new();

    browser.click("one", "#add").await?;
    browser.talk(&mut said).await?;
    let has_some = |row: &str| !row.contains("\n0.0 %");
    browser.rows("two", 5, has_some).await;
    let note = browser.texts("one", "#ringnote").await;
    assert!(
        note[0].starts_with("add memory-5: ") && note[0].contains("the minimum is"),
        "{note:?}"
    );

    browser.click("two", &button("memory-1", "drain")).await?;
    browser.talk(&mut said).await?;
    browser
        .rows("one", 5, |row| {
            !row.starts_with("memory-1") || row.contains("\n0.0 %")
        })
        .await;
    browser.click("one", &button("memory-1", "remove")).await?;
    browser.rows("two", 4, |row| !row.starts_with("memory-1")).await;
    browser.talk(&mut said).await?;

    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    for tab in ["one", "two"] {
        browser.shows(tab, &said).await;
        assert_eq!(browser.texts(tab, EVENTS).await, Vec::<String>::new());
    }
    assert_eq!(browser.0.events_of("page_error"), Vec::<Value>::new());
    Ok(())
}

/// The selector of what `method` does to a shard.
fn button(shard: &str, method: &str) -> String {
    // A disabled one is not clicked before it can be.
    format!("{SHARDS}[data-name={shard}] button[data-method={method}]")
}

#[tokio::test]
async fn the_printed_key_and_secret_work_and_differ_each_time() -> Result<()> {
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let mut gateway = Gateway::launch_bare().await?;
        gateway.wait_until_ready().await;
        // They are printed after the address, which is what was waited for.
        let (key, secret) = until("the key and the secret are printed", SOON, || async {
            let output = gateway.process().output();
            let secrets = (printed(&output, "API key"), printed(&output, "token secret"));
            secrets.0.ok().zip(secrets.1.ok())
        })
        .await;
        assert!(key.len() >= 20 && secret.len() >= 20, "{key} {secret}");

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
