//! What is done while the lease is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::bootstrap::{Finding, first_topology};
use super::conductor::Conductor;
use super::keeper::Keeper;
use super::lease::note_list;
use super::ledger::{Content, Ledger, Page};
use super::sights::Sights;
use super::work::{self, Site, WorkError};
use super::{
    ConfiguredShards, CoordinatorOptions, CoordinatorParts, CoordinatorStatus, ShardList, ShardSource,
    cleaner,
};
use crate::store::TopologyStore;
use crate::topology::{ShardId, Token, Topology};

/// How soon what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long the first topology waits for what the shards hold. A shard that is slower gets its part like one that is
/// down.
const FINDING: Duration = Duration::from_secs(3);

/// One holding of the lease. Everything it has under way ends with it.
pub(super) struct Term {
    pub(super) ledger: Ledger,
    pub(super) shards: Arc<dyn ShardSource>,
    pub(super) token: Token,
    pub(super) board: watch::Sender<CoordinatorStatus>,
    pub(super) options: CoordinatorOptions,
    pub(super) sights: Sights,
    /// Wakes the keepers: something has been decided that they should carry out at once.
    pub(super) urgent: watch::Sender<()>,
    pub(super) store: Arc<dyn TopologyStore>,
    configured: ConfiguredShards,
}

impl Term {
    pub(super) fn new(
        parts: CoordinatorParts,
        token: Token,
        board: watch::Sender<CoordinatorStatus>,
    ) -> Self {
        Self {
            ledger: Ledger::new(Arc::clone(&parts.store)),
            shards: parts.shards,
            token,
            board,
            options: parts.options,
            sights: Sights::default(),
            urgent: watch::Sender::new(()),
            store: parts.store,
            configured: parts.configured,
        }
    }

    /// Has all keepers look at once.
    pub(super) fn hurry(&self) {
        self.urgent.send_replace(());
    }

    /// Follows the topology, keeps a keeper for each of its shards, moves and cleans, until aborted.
    pub(super) async fn run(self: Arc<Self>) {
        let mut changes = self.store.changes();
        let mut pages = self.ledger.pages();
        let mut keepers = Keepers::default();
        let mut others = Others::start(&self);
        let mut configured = self.configured.clone();
        loop {
            others.keep(&self);
            changes.mark_unchanged();
            let content = match self.ledger.refresh().await {
                Ok(page) => self.found_if_empty(page).await,
                Err(error) => {
                    warn!(%error, "the coordinator cannot read the topology");
                    Content::Unread
                }
            };
            let settled = match &content {
                Content::Topology(topology) => {
                    note_list(&self.board, &configured.list(), self.options.managed_by, topology);
                    keepers.keep(&self, topology);
                    true
                }
                Content::Unread | Content::Empty => false,
            };
            pages.mark_unchanged();
            tokio::select! {
                _ = changes.changed() => {}
                () = configured.changed() => {}
                _ = pages.wait_for(|page| matches!(page.content, Content::Unread)), if settled => {}
                () = sleep(RETRY), if !settled => {}
            }
        }
    }

    /// Fills an empty store.
    async fn found_if_empty(&self, page: Page) -> Content {
        if !matches!(page.content, Content::Empty) {
            return page.content;
        }
        let configured = self.configured.list();
        let found = self.findings(&configured).await;
        let Some(topology) = first_topology(&configured, &found, page.least, rand::random()) else {
            warn!("the store is empty and no shard is configured that may own anything");
            return Content::Empty;
        };
        let (generation, answered) = (topology.generation, found.len());
        match self.ledger.found(topology).await {
            Ok(()) => info!(%generation, shards = configured.len(), answered, "made the first topology"),
            Err(error) => warn!(%error, "the first topology was not written"),
        }
        self.ledger.pages().borrow().content.clone()
    }

    /// What the configured shards hold, as far as they answer in time.
    async fn findings(&self, configured: &ShardList) -> BTreeMap<ShardId, Finding> {
        let mut looks = JoinSet::new();
        for (id, wanted) in configured {
            let Ok(shard) = self.shards.shard(id, &wanted.url) else {
                continue;
            };
            let id = id.clone();
            let token = self.token;
            looks.spawn(async move {
                let look = async {
                    let probe = work::probe(&*shard).await?;
                    let site = Site {
                        shard: &*shard,
                        run: &probe.incarnation,
                        token,
                    };
                    let records = site.records().await?;
                    Ok::<_, WorkError>(Finding { probe, records })
                };
                timeout(FINDING, look)
                    .await
                    .ok()?
                    .ok()
                    .map(|finding| (id, finding))
            });
        }
        looks.join_all().await.into_iter().flatten().collect()
    }
}

/// What a term does besides keeping its shards, ended with it.
struct Others(JoinSet<()>);

impl Others {
    fn start(term: &Arc<Term>) -> Self {
        let mut others = Self(JoinSet::new());
        others.begin(term);
        others
    }

    fn begin(&mut self, term: &Arc<Term>) {
        self.0.spawn(Conductor::new(Arc::clone(term)).run());
        self.0.spawn(cleaner::run(Arc::clone(term)));
    }

    /// Begins anew if one of them has failed: by themselves they never end.
    fn keep(&mut self, term: &Arc<Term>) {
        if self.0.try_join_next().is_some() {
            self.0 = JoinSet::new();
            self.begin(term);
        }
    }
}

/// The keepers of a term, ended with it.
#[derive(Default)]
struct Keepers {
    tasks: JoinSet<()>,
    by_shard: BTreeMap<ShardId, AbortHandle>,
}

impl Keepers {
    /// Has one keeper for each of the topology's shards, and none for others.
    fn keep(&mut self, term: &Arc<Term>, topology: &Topology) {
        // A keeper never ends by itself; one that did has failed and is replaced.
        while self.tasks.try_join_next().is_some() {}
        self.by_shard.retain(|id, keeper| {
            let kept = topology.shards.contains_key(id) && !keeper.is_finished();
            if !kept {
                keeper.abort();
            }
            kept
        });
        for id in topology.shards.keys() {
            self.by_shard
                .entry(id.clone())
                .or_insert_with(|| self.tasks.spawn(Keeper::new(Arc::clone(term), id.clone()).run()));
        }
    }
}
