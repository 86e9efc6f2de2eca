//! The page in a browser.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use campanile_tests::gateway::Gateway;
use campanile_tests::puppet::Puppet;
use campanile_tests::wait::until;
use serde_json::{Value, json};

use super::PASSWORD;

/// A browser with the page of a gateway.
pub(crate) struct Page(Puppet);

/// A move of a third of the partitions in small batches, on a machine that is busy with much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

const TAB: &str = "admin";

impl Page {
    /// Opens it.
    pub(crate) async fn open(gateway: &Gateway) -> Result<Self> {
        let page = Self(Puppet::node("browser.mjs", &[])?);
        page.call(json!({ "do": "open", "url": format!("{}/admin", gateway.url()) }))
            .await?;
        Ok(page)
    }

    pub(crate) async fn call(&self, mut command: Value) -> Result<Value> {
        command["tab"] = json!(TAB);
        self.0.call(command).await
    }

    pub(crate) async fn fill(&self, selector: &str, value: &str) -> Result<()> {
        let fill = json!({ "do": "fill", "selector": selector, "value": value });
        self.call(fill).await.map(drop)
    }

    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        self.call(json!({ "do": "click", "selector": selector }))
            .await
            .map(drop)
    }

    pub(crate) async fn press(&self, selector: &str, key: &str) -> Result<()> {
        let press = json!({ "do": "press", "selector": selector, "key": key });
        self.call(press).await.map(drop)
    }

    /// The texts of what `selector` finds.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let texts = self.call(json!({ "do": "texts", "selector": selector })).await;
        let texts = texts.unwrap_or_default();
        let texts = texts.as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Waits until something that `selector` finds has this text in it, and gives the whole of it.
    pub(crate) async fn shows(&self, selector: &str, text: &str) -> String {
        until(&format!("{selector} shows {text:?}"), PATIENCE, || async {
            let texts = self.texts(selector).await;
            texts.into_iter().find(|shown| shown.contains(text))
        })
        .await
    }

    /// What the page did wrong. That a call was refused, or not answered in time on a busy machine, is no mistake of its own.
    pub(crate) fn mistakes(&self) -> Vec<Value> {
        let mut errors = self.0.events_of("page_error");
        errors.retain(|error| {
            !error["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("Failed to load resource"))
        });
        errors
    }

    /// Looks at the page in each of the ways in which people do, and keeps what it looks like below `target`. Nothing may stick out.
    pub(crate) async fn looks(&self, name: &str) -> Result<()> {
        for (look, width, height, scheme) in LOOKS {
            let size = json!({ "do": "look", "width": width, "height": height, "scheme": scheme });
            self.call(size).await?;
            let out = self
                .call(json!({ "do": "evaluate", "expression": STICKS_OUT }))
                .await?;
            assert_eq!(out, json!([]), "{name} does not fit {look}");
            let path = screenshots()?.join(format!("{name}-{look}.png"));
            let whole = !name.starts_with("dialog");
            self.call(json!({ "do": "screenshot", "path": path, "whole": whole }))
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn login(&self) -> Result<()> {
        self.fill("#password", PASSWORD).await?;
        self.press("#password", "Enter").await?;
        self.shows("#pulse", "live").await;
        Ok(())
    }
}

/// A desk by day, a desk by night, a tablet, a phone.
const LOOKS: [(&str, u32, u32, &str); 4] = [
    ("light", 1280, 900, "light"),
    ("dark", 1280, 900, "dark"),
    ("tablet", 820, 1100, "light"),
    ("phone", 360, 740, "dark"),
];

/// What is wider than the card, dialog or window that it is in.
const STICKS_OUT: &str = "
    [document.body, ...document.querySelectorAll('.card, dialog[open]')].flatMap((frame) => {
        const edge = frame.getBoundingClientRect().right + 1;
        const inside = [...frame.querySelectorAll('*')].filter((it) => !it.closest('.unseen, .skip, thead, svg'));
        const wide = inside.filter((it) => it.getClientRects().length > 0 && it.getBoundingClientRect().right > edge);
        return wide.map((it) => `${it.tagName} ${it.id} ${it.className}`);
    })";

fn screenshots() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
