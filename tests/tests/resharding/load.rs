//! Publishers at a steady rate: each channel's messages are numbered from 1.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use campanile_tests::api::Api;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Publications in one request.
const BATCH: usize = 50;
/// Publishers, each with channels of its own.
const PUBLISHERS: usize = 4;

/// How publications are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Messages a second, all channels together.
    pub(crate) rate: usize,
    /// Whether each has an idempotency key, so that one whose answer was lost can be made again. Without, a test is to
    /// allow no error.
    pub(crate) keyed: bool,
}

/// Publishers at work.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    publishers: JoinSet<()>,
    books: Arc<Mutex<Books>>,
}

/// What publishers know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    /// The number that was accepted last, by channel.
    pub(crate) accepted: BTreeMap<String, u64>,
    /// How many were accepted.
    pub(crate) count: usize,
    /// How many answers were errors.
    pub(crate) refusals: usize,
    /// Some of the errors.
    pub(crate) errors: Vec<String>,
}

impl Load {
    /// Starts to publish to `channels` through these gateways in turn.
    pub(crate) fn start(apis: &[Api], channels: &[String], pace: Pace) -> Self {
        let (stop, stopped) = watch::channel(false);
        let books = Arc::<Mutex<Books>>::default();
        let mut publishers = JoinSet::new();
        for (index, own) in channels.chunks(channels.len().div_ceil(PUBLISHERS)).enumerate() {
            let publisher = Publisher {
                apis: apis.to_vec(),
                next_api: index,
                channels: own.to_vec(),
                numbers: HashMap::new(),
                keyed: pace.keyed,
                books: Arc::clone(&books),
                stopped: stopped.clone(),
            };
            publishers.spawn(publisher.run(pace.rate / PUBLISHERS));
        }
        Self {
            stop,
            publishers,
            books,
        }
    }

    /// What is known now.
    pub(crate) fn books(&self) -> Books {
        self.books.lock().clone()
    }

    /// Ends the publishing once everything under way is answered.
    pub(crate) async fn stop(mut self) -> Books {
        self.stop.send_replace(true);
        while let Some(ended) = self.publishers.join_next().await {
            ended.expect("a publisher does not panic");
        }
        self.books.lock().clone()
    }
}

struct Publisher {
    apis: Vec<Api>,
    next_api: usize,
    channels: Vec<String>,
    numbers: HashMap<String, u64>,
    keyed: bool,
    books: Arc<Mutex<Books>>,
    stopped: watch::Receiver<bool>,
}

impl Publisher {
    async fn run(mut self, rate: usize) {
        let batch = BATCH.min(self.channels.len());
        let mut ticks = interval(Duration::from_secs_f64(batch as f64 / rate as f64));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = 0;
        while !*self.stopped.borrow() {
            ticks.tick().await;
            let due: Vec<String> = (0..batch)
                .map(|step| self.channels[(next + step) % self.channels.len()].clone())
                .collect();
            next = (next + batch) % self.channels.len();
            self.publish(due).await;
        }
    }

    /// Publishes the next number of each channel. One that is refused stays the next one.
    async fn publish(&mut self, due: Vec<String>) {
        let commands: Vec<Value> = due.iter().map(|channel| self.command(channel)).collect();
        let api = &self.apis[self.next_api % self.apis.len()];
        self.next_api += 1;
        let answer = api
            .call("batch", &json!({ "commands": commands, "parallel": true }))
            .await;
        self.note(due, &answer);
    }

    fn command(&self, channel: &str) -> Value {
        let number = self.numbers.get(channel).map_or(1, |last| last + 1);
        let mut publish = json!({ "channel": channel, "data": { "n": number } });
        if self.keyed {
            publish["idempotency_key"] = json!(format!("{channel}-{number}"));
        }
        json!({ "publish": publish })
    }

    /// Writes the answers down.
    fn note(&mut self, due: Vec<String>, answer: &anyhow::Result<Value>) {
        let mut books = self.books.lock();
        let replies = match answer {
            Ok(result) => result["replies"].as_array().cloned().unwrap_or_default(),
            Err(error) => return books.refuse(&format!("{error:#}"), due.len()),
        };
        for (channel, reply) in due.into_iter().zip(replies) {
            if let Some(error) = reply.get("error") {
                books.refuse(&format!("{channel}: {error}"), 1);
                continue;
            }
            let number = self.numbers.entry(channel.clone()).or_insert(0);
            *number += 1;
            books.accepted.insert(channel, *number);
            books.count += 1;
        }
    }
}

impl Books {
    fn refuse(&mut self, words: &str, count: usize) {
        const KEPT: usize = 20;
        self.refusals += count;
        if self.errors.len() < KEPT {
            self.errors.push(words.to_owned());
        }
    }
}
