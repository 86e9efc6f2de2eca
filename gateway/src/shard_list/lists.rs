//! The lists of shards that this gateway knows, and what becomes of them.

use campanile_shard_router::coordinator::{ConfiguredShards, ManagedBy, ShardList};
use tokio::sync::watch;

/// Where lists arrive. Which of them count follows from who manages the shards.
#[derive(Clone, Debug)]
pub struct Lists {
    managed_by: ManagedBy,
    configured: watch::Sender<ShardList>,
    proposal: watch::Sender<Option<ShardList>>,
}

impl Lists {
    /// Begins with the configured list. Beside it: that which fills an empty store, as it changes.
    #[must_use]
    pub fn new(managed_by: ManagedBy, list: ShardList) -> (Self, ConfiguredShards) {
        let proposal = (managed_by == ManagedBy::File).then(|| list.clone());
        let (configured, fills) = ConfiguredShards::new(list);
        let lists = Self {
            managed_by,
            configured,
            proposal: watch::Sender::new(proposal),
        };
        (lists, fills)
    }

    /// The configuration file has another list.
    pub fn told_by_file(&self, list: ShardList) {
        match self.managed_by {
            ManagedBy::File => self.propose(list),
            ManagedBy::Api => drop(self.configured.send_replace(list)),
            // Only says how to reach those that the DNS names.
            ManagedBy::Dns => {}
        }
    }

    /// The DNS has this list.
    pub fn told_by_dns(&self, list: ShardList) {
        self.propose(list);
    }

    /// Others propose from now on.
    pub fn withdraw(&self) {
        self.proposal.send_replace(None);
    }

    /// What is to be proposed, as it changes.
    #[must_use]
    pub fn proposals(&self) -> watch::Receiver<Option<ShardList>> {
        self.proposal.subscribe()
    }

    fn propose(&self, list: ShardList) {
        self.configured.send_if_modified(|configured| {
            let news = *configured != list;
            configured.clone_from(&list);
            news
        });
        let list = Some(list);
        self.proposal.send_if_modified(|proposal| {
            let news = *proposal != list;
            *proposal = list;
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use campanile_shard_router::topology::{ShardId, ShardUrl, WantedShard};

    use super::*;

    fn list(names: &[&str]) -> ShardList {
        let shard = |name: &&str| {
            let shard = WantedShard {
                url: ShardUrl::new("redis://host"),
                address: "host:6379".to_owned(),
                weight: 1,
                durable: false,
            };
            (ShardId::new(name), shard)
        };
        names.iter().map(shard).collect()
    }

    #[test]
    fn what_the_file_says_is_proposed_where_the_file_manages() {
        for (managed_by, first, then, fills) in [
            (
                ManagedBy::File,
                Some(list(&["a"])),
                Some(list(&["b"])),
                list(&["b"]),
            ),
            (ManagedBy::Api, None, None, list(&["b"])),
            (ManagedBy::Dns, None, None, list(&["a"])),
        ] {
            let (lists, configured) = Lists::new(managed_by, list(&["a"]));
            assert_eq!(*lists.proposals().borrow(), first);
            lists.told_by_file(list(&["b"]));
            assert_eq!(*lists.proposals().borrow(), then);
            assert_eq!(configured.list(), fills);
        }
    }

    #[test]
    fn what_the_dns_says_is_proposed_and_fills_the_store() {
        let (lists, configured) = Lists::new(ManagedBy::Dns, list(&[]));
        let mut proposals = lists.proposals();
        lists.told_by_dns(list(&["a"]));
        assert!(proposals.has_changed().unwrap());
        assert_eq!(*proposals.borrow_and_update(), Some(list(&["a"])));
        assert_eq!(configured.list(), list(&["a"]));
        lists.told_by_dns(list(&["a"]));
        assert!(!proposals.has_changed().unwrap(), "the same again is no news");
        lists.withdraw();
        assert_eq!(*proposals.borrow(), None);
        assert_eq!(configured.list(), list(&["a"]));
    }
}
