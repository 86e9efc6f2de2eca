//! The list of shards that a name in the DNS gives, asked for while this gateway coordinates.

use std::collections::BTreeMap;
use std::time::Instant;

use campanile_shard_router::coordinator::{CoordinatorStatus, ShardList};
use campanile_shard_router::topology::{ShardId, WantedShard};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::dns;
use super::lists::Lists;
use super::notes::{Notes, Subject};
use super::resolver;
use super::sightings::Sightings;
use crate::config::{DnsOptions, RedisShard};

/// What the topology lists at the moment.
pub type Known = Box<dyn Fn() -> ShardList + Send + Sync>;

/// Describes a shard as the topology does; an error: why it cannot.
pub type Describe = fn(&RedisShard) -> anyhow::Result<(ShardId, WantedShard)>;

/// Asks for the name and passes on what follows from the answers.
pub struct Discovery {
    /// What to ask for.
    pub options: DnsOptions,
    /// Whether to ask.
    pub coordinator: watch::Receiver<CoordinatorStatus>,
    /// What to begin with.
    pub known: Known,
    /// How answers become entries of the topology.
    pub describe: Describe,
    /// Where lists go.
    pub lists: Lists,
    /// Where trouble is noted.
    pub notes: Notes,
}

impl Discovery {
    /// Asks whenever this gateway coordinates; ends only by being aborted, or with the coordinator.
    pub async fn run(mut self) {
        while self.coordinator.wait_for(|status| status.leading).await.is_ok() {
            let mut coordinator = self.coordinator.clone();
            let others = coordinator.wait_for(|status| !status.leading);
            tokio::select! {
                _ = others => {}
                () = self.lead() => {}
            }
            self.lists.withdraw();
            self.notes.clear(Subject::Dns);
        }
    }

    /// Asks again and again.
    async fn lead(&self) {
        let mut ticks = interval(self.options.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sightings = None;
        loop {
            ticks.tick().await;
            match self.ask().await {
                Ok(named) => {
                    // What the topology lists may be missing from the first answer as from any other.
                    let sightings = sightings
                        .get_or_insert_with(|| Sightings::new(self.options.gone_after, (self.known)()));
                    self.lists.told_by_dns(sightings.answer(named, Instant::now()));
                    if self.notes.clear(Subject::Dns) {
                        tracing::info!(name = self.options.name, "the DNS names shards again");
                    }
                }
                Err(error) => self.note(&error),
            }
        }
    }

    async fn ask(&self) -> anyhow::Result<ShardList> {
        let found = resolver::resolve(&self.options).await?;
        let shards = dns::shards(&self.options, &found)?;
        let described: Result<BTreeMap<_, _>, _> = shards.values().map(self.describe).collect();
        described
    }

    fn note(&self, error: &anyhow::Error) {
        let name = &self.options.name;
        let error = format!("{error:#}");
        if self
            .notes
            .set(Subject::Dns, format!("{name} names no shards: {error}"))
        {
            tracing::warn!(name, error, "the DNS names no shards; going on with those known");
        }
    }
}

#[cfg(test)]
mod tests;
