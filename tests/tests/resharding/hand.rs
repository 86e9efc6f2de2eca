//! A watcher by hand, over any transport: it does not come back when it is cut off, so that nothing is hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_tests::token;
use campanile_tests::wire::{Endpoint, Handshake, Wire};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Violations that are worth printing.
const KEPT: usize = 20;
/// It has all the time until the test ends.
const FOREVER: Duration = Duration::from_secs(3600);

/// A connection that is read, and what it has brought. Ends when dropped.
pub(crate) struct Hand {
    tally: Arc<Mutex<Tally>>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Tally {
    subscribed: usize,
    last: BTreeMap<String, u64>,
    disconnects: usize,
    unsubscribes: usize,
    wrong: BTreeSet<String>,
    violations: Vec<String>,
}

impl Hand {
    /// Connects, subscribes to each channel, and counts from then on.
    pub(crate) async fn start(
        name: &str,
        endpoint: &Endpoint,
        handshake: Handshake<'_>,
        channels: &[String],
    ) -> Result<Self> {
        let mut wire = Wire::open_with(endpoint, handshake).await?;
        wire.log_in(&token::connection(name)).await?;
        for channel in channels {
            wire.subscribe(channel).await?;
        }
        let tally = Arc::<Mutex<Tally>>::default();
        tally.lock().subscribed = channels.len();
        let reading = tokio::spawn(read(wire, Arc::clone(&tally)));
        Ok(Self { tally, reading })
    }

    /// What it has seen, as the SDKs' tallies say it.
    pub(crate) fn report(&self) -> Value {
        let tally = self.tally.lock();
        json!({
            "subscribed": tally.subscribed,
            "disconnects": tally.disconnects,
            "unsubscribes": tally.unsubscribes,
            "wrong": tally.wrong,
            "violations": tally.violations,
        })
    }

    /// The last number of each channel.
    pub(crate) fn numbers(&self) -> Value {
        json!(self.tally.lock().last)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(mut wire: Wire, tally: Arc<Mutex<Tally>>) {
    loop {
        let push = wire.push_within(FOREVER).await;
        let mut tally = tally.lock();
        let noted = push.and_then(|push| tally.note(&push));
        if let Err(error) = noted {
            tally.disconnects += 1;
            return tally.violation(format!("{error:#}"));
        }
    }
}

impl Tally {
    fn note(&mut self, push: &Value) -> Result<()> {
        let channel = push["channel"].as_str().context("a push without a channel")?;
        if push.get("unsubscribe").is_some() {
            self.unsubscribes += 1;
            self.violation(push.to_string());
        }
        if let Some(publication) = push.get("pub") {
            let number = publication["data"]["n"].as_u64().context("a number")?;
            self.count(channel, number);
        }
        Ok(())
    }

    /// Each number is the one after the last, from the first that comes on.
    fn count(&mut self, channel: &str, number: u64) {
        let before = self.last.insert(channel.to_owned(), number);
        if let Some(before) = before.filter(|before| *before + 1 != number) {
            self.wrong.insert(channel.to_owned());
            self.violation(format!("{channel}: {number} after {before}"));
            self.last.insert(channel.to_owned(), number.max(before));
        }
    }

    fn violation(&mut self, words: String) {
        if self.violations.len() < KEPT {
            self.violations.push(words);
        }
    }
}
