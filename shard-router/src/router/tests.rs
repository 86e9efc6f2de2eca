//! The router against memory servers that can be made to fail.

mod cluster;
mod coordinated;
mod faults;
mod handing_over;
mod listing;
mod mover;
mod moving;
mod presence;
mod publishing;
mod recorder;
mod storm;
mod subscribing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::{ChannelName, Epoch, Offset, Position, Timestamp};
use parking_lot::Mutex;

use super::*;
use crate::audience::{Event, LossReason};
use crate::publication::Publication;
use crate::shard::{PublishOutcome, StreamLimits};
use cluster::Cluster;

/// A stream that keeps `size` publications for longer than any test.
fn stream(size: u32) -> Option<StreamLimits> {
    let ttl = Duration::from_secs(3600);
    Some(StreamLimits {
        size,
        ttl,
        meta_ttl: ttl,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the tests read better without an ampersand"
)]
fn publication(data: impl ToString) -> Publication {
    Publication {
        offset: Offset::ZERO,
        data: Bytes::from(data.to_string()),
        info: None,
        tags: Default::default(),
        time: Timestamp::ZERO,
    }
}

fn publish(channel: &ChannelName, data: impl ToString) -> Publish {
    Publish {
        channel: channel.clone(),
        publication: publication(data),
        stream: stream(100),
        idempotency: None,
        version: None,
    }
}

/// What one subscriber saw.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Joined(Subscribed),
    Publication(u64, String),
    Join(String),
    Leave(String),
    Lost(LossReason),
}

/// The subscribers of the tests: each writes down what it sees.
#[derive(Default)]
struct Witnesses;

type Log = Arc<Mutex<Vec<Seen>>>;

impl Audience for Witnesses {
    type Members = Arc<Vec<Log>>;

    fn is_empty(members: &Self::Members) -> bool {
        members.is_empty()
    }

    fn deliver(&self, _: &ChannelName, members: &Self::Members, event: &Event) {
        let seen = match event {
            Event::Publication(publication) => {
                let data = String::from_utf8_lossy(&publication.data).into_owned();
                Seen::Publication(publication.offset.get(), data)
            }
            Event::Join(info) => Seen::Join(info.client.clone()),
            Event::Leave(info) => Seen::Leave(info.client.clone()),
            Event::Lost(reason) => Seen::Lost(*reason),
        };
        for log in members.iter() {
            log.lock().push(seen.clone());
        }
    }
}

/// One subscriber of one channel.
struct Witness {
    channel: ChannelName,
    log: Log,
}

impl Witness {
    async fn subscribe(
        router: &Router<Witnesses>,
        channel: &ChannelName,
        recover: Option<Position>,
    ) -> Result<Self, RouterError> {
        let recover = recover.map(|position| Recover {
            position,
            mode: RecoverMode::Stream,
        });
        let options = SubscribeOptions {
            stream: stream(100),
            recover,
            limit: 100,
        };
        Self::subscribe_with(router, channel, options).await
    }

    async fn subscribe_with(
        router: &Router<Witnesses>,
        channel: &ChannelName,
        options: SubscribeOptions,
    ) -> Result<Self, RouterError> {
        let log = Log::default();
        let join = |members: &mut Arc<Vec<Log>>, subscribed: &Subscribed| {
            log.lock().push(Seen::Joined(subscribed.clone()));
            Arc::make_mut(members).push(Arc::clone(&log));
        };
        router.subscribe(channel.clone(), options, join).await?;
        Ok(Self {
            channel: channel.clone(),
            log,
        })
    }

    fn leave(&self, router: &Router<Witnesses>) {
        router.unsubscribe(&self.channel, |members| {
            Arc::make_mut(members).retain(|log| !Arc::ptr_eq(log, &self.log));
        });
    }

    fn joined(&self) -> Subscribed {
        match &self.log.lock()[0] {
            Seen::Joined(subscribed) => subscribed.clone(),
            other => panic!("{other:?} before the reply"),
        }
    }

    /// What it saw after the reply.
    fn seen(&self) -> Vec<Seen> {
        self.log.lock()[1..].to_vec()
    }

    /// The offsets it has, those that came with the reply included. Panics if one is missing or repeated.
    fn offsets(&self) -> Vec<u64> {
        let mut offsets = Vec::new();
        for seen in self.log.lock().iter() {
            match seen {
                Seen::Joined(subscribed) => {
                    offsets.extend(
                        subscribed
                            .publications
                            .iter()
                            .map(|publication| publication.offset.get()),
                    );
                    let position = subscribed
                        .position
                        .as_ref()
                        .map_or(0, |position| position.offset.get());
                    assert!(offsets.last().is_none_or(|last| *last == position));
                    if offsets.is_empty() {
                        offsets.push(position);
                    }
                }
                Seen::Publication(offset, _) => offsets.push(*offset),
                _ => {}
            }
        }
        assert!(
            offsets.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "not dense: {offsets:?}"
        );
        offsets
    }

    /// Waits until it has seen `offset`.
    async fn reaches(&self, offset: u64) {
        let log = &self.log;
        let reached = || {
            log.lock()
                .iter()
                .any(|seen| matches!(seen, Seen::Publication(o, _) if *o == offset))
        };
        eventually(&format!("offset {offset} arrives"), reached).await;
    }

    /// Waits until it is told that continuity is lost.
    async fn loses(&self) -> LossReason {
        let lost = || {
            let log = self.log.lock();
            log.iter().find_map(|seen| match seen {
                Seen::Lost(reason) => Some(*reason),
                _ => None,
            })
        };
        eventually("continuity is lost", || lost().is_some()).await;
        lost().expect("just seen")
    }
}

/// Waits for `condition`; fails after a minute of the test's time.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not so after a minute: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn top(outcome: &PublishOutcome) -> Position {
    outcome.position.clone().expect("the channel has a stream")
}
