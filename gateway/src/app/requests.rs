//! Changes of the shards, from how operators put them to how the topology takes them.

use std::time::Duration;

use campanile_shard_router::coordinator::{Planned, ShardRequests};
use campanile_shard_router::topology::{Generation, ShardId, ShardRequest, ShardUrl, WantedShard};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{NOT_DURABLE, RedisUrl, ShardsOptions};
use crate::shards::{Add, Change, Refusal, ShardChanges};

use super::shards::EMBEDDED_ADDRESS;

/// Longest name of a shard in bytes: it is a label of metrics and a column of tables.
const MAX_NAME: usize = 64;

/// How long the answer to a change waits for this gateway to apply it.
const APPLYING: Duration = Duration::from_secs(1);

/// Hands changes on.
pub(super) struct Requests {
    requests: ShardRequests,
    /// The topology that this gateway has applied.
    applied: watch::Receiver<Generation>,
    /// Whether shards live in this process, and nowhere else.
    is_embedded: bool,
}

impl Requests {
    pub(super) fn new(
        requests: ShardRequests,
        applied: watch::Receiver<Generation>,
        shards: &ShardsOptions,
    ) -> Self {
        Self {
            requests,
            applied,
            is_embedded: matches!(shards, ShardsOptions::Embedded(_)),
        }
    }

    fn request(&self, change: Change) -> Result<ShardRequest, Refusal> {
        Ok(match change {
            Change::Add(add) => {
                check_name(&add.name)?;
                ShardRequest::Add {
                    id: ShardId::new(&add.name),
                    shard: self.wanted(&add)?,
                }
            }
            Change::Drain(drain) if drain.undo => ShardRequest::Readmit(ShardId::new(&drain.name)),
            Change::Drain(drain) => ShardRequest::Drain(ShardId::new(&drain.name)),
            Change::Remove(remove) => ShardRequest::Remove(ShardId::new(&remove.name)),
            Change::Weight(weight) => ShardRequest::Weight(ShardId::new(&weight.name), weight.weight),
        })
    }

    fn wanted(&self, add: &Add) -> Result<WantedShard, Refusal> {
        let (url, address) = if self.is_embedded {
            (embedded(&add.url)?, EMBEDDED_ADDRESS.to_owned())
        } else {
            redis(add)?
        };
        Ok(WantedShard {
            url,
            address,
            weight: add.weight,
            durable: add.durable,
        })
    }
}

impl ShardChanges for Requests {
    fn plan(&self, change: Option<Change>) -> BoxFuture<'_, Result<Planned, Refusal>> {
        async {
            let request = change.map(|change| self.request(change)).transpose()?;
            Ok(self.requests.plan(request.as_ref()).await?)
        }
        .boxed()
    }

    fn submit(&self, change: Change, on: Option<Generation>) -> BoxFuture<'_, Result<Planned, Refusal>> {
        async move {
            let request = self.request(change)?;
            let planned = match on {
                Some(generation) => self.requests.submit_planned(&request, generation).await?,
                None => self.requests.submit(&request).await?,
            };
            // So that who asks this gateway next hears of it. It is decided, however long applying it takes.
            let mut applied = self.applied.clone();
            let heard = applied.wait_for(|applied| *applied >= planned.generation);
            let _ = timeout(APPLYING, heard).await;
            Ok(planned)
        }
        .boxed()
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |letter: char| !letter.is_control() && !letter.is_whitespace();
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(Refusal::nonsense(format!(
            "{name:?} is no name for a shard: write 1 to {MAX_NAME} characters without spaces"
        )));
    }
    Ok(())
}

fn embedded(url: &str) -> Result<ShardUrl, Refusal> {
    if url.is_empty() || url == ShardUrl::MEMORY {
        return Ok(ShardUrl::new(ShardUrl::MEMORY));
    }
    Err(Refusal::nonsense(format!(
        "this gateway's shards are in its own process: write {} instead of a URL, or configure shards on Redis",
        ShardUrl::MEMORY
    )))
}

fn redis(add: &Add) -> Result<(ShardUrl, String), Refusal> {
    let url = RedisUrl::parse(&add.url).map_err(|error| Refusal::nonsense(format!("url: {error}")))?;
    if add.durable && url.has_sentinels() {
        return Err(Refusal::nonsense(format!("durable: {NOT_DURABLE}")));
    }
    Ok((ShardUrl::new(url.expose()), url.address()))
}
