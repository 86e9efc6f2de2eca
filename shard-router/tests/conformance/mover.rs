//! A move by hand: two servers, and who copies a partition from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use campanile_shard_router::fence::FenceCommand::{Import, Migrate, Open, Seal};
use campanile_shard_router::fence::{FenceCommand, FenceReply};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::shard::{CopyItem, CopyPart, CopyScope, ScanCursor, ShardError};
use campanile_shard_router::topology::{Generation, Incarnation, Token};

use crate::gateway::{Channel, Gateway, OPENED};
use crate::world::World;

/// The generation that announced the move, and the token of the attempt.
pub const MOVE: (Generation, Token) = (Generation(5), Token(7));

/// One of the two servers.
pub struct Side {
    pub gateway: Gateway,
    pub run: Incarnation,
}

impl Side {
    pub async fn fence(&self, partition: Partition, command: FenceCommand) -> FenceReply {
        self.gateway.fence(&self.run, partition, command).await
    }
}

/// Moves some partitions from one server to another.
pub struct Mover {
    pub source: Side,
    pub target: Side,
    pub partitions: Arc<BTreeSet<Partition>>,
    pub scope: CopyScope,
    since: BTreeMap<Partition, u64>,
    marks: BTreeMap<(Partition, Bytes), Bytes>,
}

impl Mover {
    /// The channels' partitions, open at the source.
    pub async fn open<W: World>(source: &W, target: &W, channels: &[Channel]) -> Self {
        let (source, target) = (source.gateway(), target.gateway());
        let partitions: BTreeSet<_> = channels.iter().map(|channel| channel.partition).collect();
        Self {
            source: Side {
                run: source.open(partitions.iter().copied()).await,
                gateway: source,
            },
            target: Side {
                run: target.trust_present_run().await,
                gateway: target,
            },
            partitions: Arc::new(partitions),
            scope: CopyScope::All,
            since: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }

    /// From here on the target is being filled, and the source notes what changes.
    pub async fn begin(&self) {
        let (generation, token) = MOVE;
        let floor = OPENED.0;
        for partition in self.partitions.iter().copied() {
            let import = Import {
                generation,
                token,
                floor,
            };
            assert_eq!(self.target.fence(partition, import).await, FenceReply::Done);
            let migrate = Migrate { generation };
            assert_eq!(self.source.fence(partition, migrate).await, FenceReply::Done);
        }
    }

    /// Everything that the source holds.
    pub async fn scan(&self) -> Vec<CopyItem> {
        let mut cursor = ScanCursor::START;
        let mut all = Vec::new();
        loop {
            let partitions = Arc::clone(&self.partitions);
            let shard = &self.source.gateway.shard;
            let step = shard.scan(&self.source.run, partitions, self.scope, cursor);
            let (items, next) = step.await.unwrap();
            all.extend(items);
            match next {
                Some(next) => cursor = next,
                None => return all,
            }
        }
    }

    /// What changed since this was asked last.
    pub async fn dirty(&mut self) -> Vec<CopyItem> {
        let mut all = Vec::new();
        let mut asked = self.partitions.iter().copied().collect::<Vec<_>>();
        while !asked.is_empty() {
            let since = |partition: &Partition| (*partition, self.since.get(partition).copied().unwrap_or(0));
            let since = asked.iter().map(since).collect();
            let shard = &self.source.gateway.shard;
            let pages = shard
                .dirty(&self.source.run, MOVE.0, since, self.scope)
                .await
                .unwrap();
            let mut more = Vec::new();
            for (partition, page) in asked.into_iter().zip(pages) {
                let page = page.expect("it migrates");
                self.since.insert(partition, page.through);
                all.extend(page.items);
                more.extend(page.more.then_some(partition));
            }
            asked = more;
        }
        all
    }

    /// Their names, sorted.
    pub async fn dirty_names(&mut self) -> Vec<String> {
        let mut names: Vec<_> = self.dirty().await.iter().map(name).collect();
        names.sort();
        names
    }

    pub async fn read(&self, generation: Generation, item: CopyItem) -> Option<CopyPart> {
        let shard = &self.source.gateway.shard;
        let mut parts = shard
            .copy(&self.source.run, generation, vec![item])
            .await
            .unwrap();
        parts.remove(0)
    }

    pub async fn write(&self, (generation, token): (Generation, Token), part: CopyPart) -> bool {
        let shard = &self.target.gateway.shard;
        let restored = shard.restore(&self.target.run, generation, token, vec![part]);
        restored.await.unwrap().remove(0)
    }

    /// Copies items to their ends, all at once, continuing what was copied before; returns the parts.
    pub async fn copy(&mut self, items: Vec<CopyItem>) -> Vec<CopyPart> {
        let (generation, token) = MOVE;
        let mut all = Vec::new();
        let resume = |item: CopyItem| {
            let resume = self.marks.get(&(item.partition, item.name.clone())).cloned();
            CopyItem { resume, ..item }
        };
        let mut items: Vec<_> = items.into_iter().map(resume).collect();
        while !items.is_empty() {
            let (source, target) = (&self.source.gateway.shard, &self.target.gateway.shard);
            let copied = source
                .copy(&self.source.run, generation, items.clone())
                .await
                .unwrap();
            let parts: Vec<_> = copied
                .into_iter()
                .map(|part| part.expect("it migrates"))
                .collect();
            let restored = target
                .restore(&self.target.run, generation, token, parts.clone())
                .await
                .unwrap();
            assert!(restored.iter().all(|done| *done));
            for part in &parts {
                let key = (part.partition, part.name.clone());
                match &part.mark {
                    Some(mark) => self.marks.insert(key, mark.clone()),
                    None => self.marks.remove(&key),
                };
            }
            let unfinished = items.into_iter().zip(&parts).filter(|(_, part)| !part.complete);
            items = unfinished
                .map(|(item, part)| CopyItem {
                    resume: part.mark.clone(),
                    ..item
                })
                .collect();
            all.extend(parts);
        }
        all
    }

    /// Copies all that there is, then all that changed meanwhile.
    pub async fn copy_all(&mut self) {
        let items = self.scan().await;
        self.copy(items).await;
        self.copy_dirty().await;
    }

    pub async fn copy_dirty(&mut self) -> Vec<CopyPart> {
        let items = self.dirty().await;
        self.copy(items).await
    }

    /// Closes the source, copies the rest, opens the target.
    pub async fn finish(&mut self) {
        let (generation, token) = MOVE;
        for partition in self.partitions.iter().copied() {
            let seal = Seal { generation };
            assert_eq!(self.source.fence(partition, seal).await, FenceReply::Done);
        }
        self.copy_dirty().await;
        for partition in self.partitions.iter().copied() {
            let open = Open { generation, token };
            assert_eq!(self.target.fence(partition, open).await, FenceReply::Done);
        }
    }

    /// Everything at once.
    pub async fn run(&mut self) {
        self.begin().await;
        self.copy_all().await;
        self.finish().await;
    }

    pub async fn clean(&self, side: &Side, through: Generation) -> Result<(), ShardError> {
        let partitions = self.partitions.iter().map(|partition| (*partition, through));
        side.gateway.shard.clean(&side.run, partitions.collect()).await
    }
}

pub fn name(item: &CopyItem) -> String {
    String::from_utf8(item.name.to_vec()).unwrap()
}
