//! The shards that this gateway is told of: by its configuration, or by a name in the DNS.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::topology::{ShardId, WantedShard};

/// Shards by name, as somebody wants them.
pub type ShardList = BTreeMap<ShardId, WantedShard>;

/// The list as it is at the moment; it may change while the gateway runs.
#[derive(Clone, Debug)]
pub struct ConfiguredShards(watch::Receiver<ShardList>);

impl ConfiguredShards {
    /// A list, and what changes it.
    #[must_use]
    pub fn new(list: ShardList) -> (watch::Sender<ShardList>, Self) {
        let (sender, receiver) = watch::channel(list);
        (sender, Self(receiver))
    }

    /// The present list.
    #[must_use]
    pub fn list(&self) -> ShardList {
        self.0.borrow().clone()
    }

    /// Resolves when the list has changed since the last time; never where it does not change any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A list that does not change.
impl FromIterator<(ShardId, WantedShard)> for ConfiguredShards {
    fn from_iter<T: IntoIterator<Item = (ShardId, WantedShard)>>(shards: T) -> Self {
        Self::new(shards.into_iter().collect()).1
    }
}
