//! Who uses a channel while servers fail over, and checks what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use campanile_tests::api::Api;
use campanile_tests::gateway::Gateway;
use campanile_tests::sentinel::PATIENCE;
use campanile_tests::token;
use campanile_tests::wait::eventually;
use campanile_tests::wire::{Transport, Wire};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::PACE;

/// Publications that were accepted: their place and what they say.
pub(crate) type Accepted = BTreeMap<(String, u64), u64>;

/// Publishes to a channel one after the other until told to stop; notes what was accepted and how much was not.
pub(crate) struct Publisher {
    accepted: Arc<Mutex<Accepted>>,
    /// The longest that one took, accepted or not.
    slowest: Arc<Mutex<Duration>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<u64>,
}

impl Publisher {
    pub(crate) fn start(api: Api, channel: &str) -> Self {
        let (accepted, slowest) = (
            Arc::<Mutex<Accepted>>::default(),
            Arc::<Mutex<Duration>>::default(),
        );
        let (notes, slowest_yet) = (Arc::clone(&accepted), Arc::clone(&slowest));
        let stop = watch::Sender::new(false);
        let (stopped, channel) = (stop.subscribe(), channel.to_owned());
        let task = tokio::spawn(async move {
            let mut refused = 0;
            for number in 1.. {
                if *stopped.borrow() {
                    break;
                }
                let begun = Instant::now();
                let published = api.publish(&channel, &json!(number)).await;
                {
                    let mut slowest = slowest_yet.lock();
                    *slowest = begun.elapsed().max(*slowest);
                }
                match published {
                    Ok((offset, epoch)) => {
                        notes.lock().insert((epoch, offset), number);
                    }
                    Err(_) => refused += 1,
                }
                sleep(PACE).await;
            }
            refused
        });
        Self {
            accepted,
            slowest,
            stop,
            task,
        }
    }

    pub(crate) fn slowest(&self) -> Duration {
        *self.slowest.lock()
    }

    pub(crate) fn accepted(&self) -> Accepted {
        self.accepted.lock().clone()
    }

    /// Waits until something is accepted in an epoch of which there is nothing in `before`.
    pub(crate) async fn begins_anew(&self, before: &Accepted) {
        let known = |epoch: &str| before.keys().any(|(known, _)| known == epoch);
        eventually("publications are accepted in a new epoch", PATIENCE, || async {
            self.accepted.lock().keys().any(|(epoch, _)| !known(epoch))
        })
        .await;
    }

    /// Waits until `count` more have been accepted.
    pub(crate) async fn goes_on(&self, count: usize) {
        let before = self.accepted.lock().len();
        eventually("publications are accepted", PATIENCE, || async {
            self.accepted.lock().len() >= before + count
        })
        .await;
    }

    /// What was accepted, and how many were not.
    pub(crate) async fn end(self) -> Result<(Accepted, u64)> {
        self.stop.send_replace(true);
        let refused = self.task.await?;
        let accepted = self.accepted.lock().clone();
        Ok((accepted, refused))
    }
}

/// Comes and goes, each time with the position that it had come to, and checks what it is told.
pub(crate) struct Returning {
    told: Arc<Mutex<Told>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<()>>,
}

/// What a returning client was told.
#[derive(Default)]
pub(crate) struct Told {
    seen: Accepted,
    /// From where to where it was told to have everything, by epoch.
    whole: Vec<(String, u64, u64)>,
    pub(crate) not_recovered: usize,
}

impl Returning {
    pub(crate) fn start(gateway: &Gateway, channel: &str) -> Self {
        let (told, stop) = (Arc::<Mutex<Told>>::default(), watch::Sender::new(false));
        let (notes, stopped, channel) = (Arc::clone(&told), stop.subscribe(), channel.to_owned());
        let endpoint = gateway.endpoint(Transport::WebSocket);
        let task = tokio::spawn(async move {
            let mut position = None::<(String, u64)>;
            while !*stopped.borrow() {
                sleep(PACE).await;
                let token = token::connection("returning");
                let mut wire = Wire::connect(endpoint.clone(), &token).await?;
                let result = match &position {
                    Some((epoch, offset)) => wire.recover(&channel, *offset, epoch).await,
                    None => wire.subscribe(&channel).await,
                };
                // A shard in trouble is a temporary error: the position stays.
                let Ok(result) = result else { continue };
                let epoch = result["epoch"].as_str().context("an epoch")?.to_owned();
                let offset = result["offset"].as_u64().unwrap_or_default();
                let to = notes.lock().note(&result, position.take(), (&epoch, offset))?;
                position = Some((epoch, to));
            }
            Ok(())
        });
        Self { told, stop, task }
    }

    /// Waits until it has been told that it does not have everything; then what it was told.
    pub(crate) async fn end(self) -> Result<Told> {
        eventually("whoever returns is told", PATIENCE, || async {
            self.task.is_finished() || self.told.lock().not_recovered > 0
        })
        .await;
        self.stop.send_replace(true);
        self.task.await??;
        Ok(std::mem::take(&mut *self.told.lock()))
    }
}

impl Told {
    /// Notes what somebody who came back with a position, if any, is told: the offset that they have come to.
    fn note(
        &mut self,
        result: &Value,
        position: Option<(String, u64)>,
        (epoch, offset): (&str, u64),
    ) -> Result<u64> {
        let Some((before, from)) = position else {
            return Ok(offset);
        };
        if result["recovered"] != true {
            self.not_recovered += 1;
            return Ok(offset);
        }
        ensure!(before == epoch, "recovered from one epoch to another: {result}");
        let mut to = from;
        for publication in result["publications"].as_array().into_iter().flatten() {
            to += 1;
            ensure!(publication["offset"] == to, "a hole before {publication}");
            let number = publication["data"].as_u64().context("a number")?;
            self.seen.insert((before.clone(), to), number);
        }
        ensure!(to >= offset, "recovered to {offset} with what came up to {to}");
        self.whole.push((before, from, to));
        Ok(to)
    }

    /// Whoever was told to have everything has everything that was accepted.
    pub(crate) fn check(&self, accepted: &Accepted) {
        for ((epoch, offset), number) in accepted {
            let promised = self
                .whole
                .iter()
                .any(|(of, from, to)| of == epoch && from < offset && offset <= to);
            if promised {
                let seen = self.seen.get(&(epoch.clone(), *offset));
                assert_eq!(seen, Some(number), "recovered, but without {epoch}/{offset}");
            }
        }
    }
}
