//! Filling targets: import, the first copy, the rounds over what changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::moves::{Move, pairs, partitions};
use super::script::{Script, Stop};
use super::{Answer, Ask, Stage};
use crate::fence::{FenceCommand, FenceReply};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};
use crate::shard::{CopyItem, CopyPart, CopyScope, ScanCursor};
use crate::topology::{Generation, MoveHistory, ShardId};

/// Items read at once. Each is bounded by the shard, so this bounds what an attempt holds in memory.
const ITEMS_AT_ONCE: usize = 64;

/// Rounds over what changed before the seal. Under steady writes each is as long as the one before.
const ROUNDS: usize = 5;

/// So few changes are left for after the seal.
const FEW: usize = 16;

/// Pages read in one round. What is written faster than it is copied must not keep a round from ending.
const PAGES: usize = 64;

impl Script {
    /// Imports and migrates all of `moves`, then copies everything there is, and what changes meanwhile.
    pub(super) async fn prepare(
        &mut self,
        moves: &[Move],
        floors: &BTreeMap<Partition, Generation>,
    ) -> Result<(), Stop> {
        self.stage(Stage::Copying);
        for ((_, to), moves) in pairs(moves) {
            self.import(&to, &moves, floors).await?;
        }
        for ((from, _), moves) in pairs(moves) {
            self.migrate(&from, &moves).await?;
        }
        // Every partition notes its changes before the first key is looked for: the walk may miss what appears during it.
        for (from, moves) in by_source(moves) {
            self.walk(&from, &moves).await?;
        }
        let mut before = usize::MAX;
        for _ in 0..ROUNDS {
            let changed = self.round(moves).await?;
            if changed <= FEW || changed >= before {
                break;
            }
            before = changed;
        }
        Ok(())
    }

    async fn import(
        &mut self,
        to: &ShardId,
        moves: &[Move],
        floors: &BTreeMap<Partition, Generation>,
    ) -> Result<(), Stop> {
        let (generation, token) = (self.generation, self.token);
        let command = |one: &Move| FenceCommand::Import {
            generation,
            token,
            floor: floors.get(&one.partition).copied().unwrap_or_default(),
        };
        let replies = self.fence(to, moves, command).await?;
        all_done("import", moves, &replies)?;
        if !holds(Safeguard::ImportWipes) {
            return Ok(());
        }
        let ask = Ask::Wipe {
            shard: to.clone(),
            partitions: partitions(moves),
            generation,
            token,
        };
        match self.ask(ask).await? {
            Answer::Wiped => Ok(()),
            other => Err(Stop::unfit(&other)),
        }
    }

    /// Makes the source note what changes. One that is sealed already has done so.
    async fn migrate(&mut self, from: &ShardId, moves: &[Move]) -> Result<(), Stop> {
        let generation = self.generation;
        let replies = self
            .fence(from, moves, |_| FenceCommand::Migrate { generation })
            .await?;
        for (one, reply) in moves.iter().zip(&replies) {
            let sealed = |reply: &FenceReply| {
                matches!(reply, FenceReply::Refused(Some(record))
                    if record.generation == generation && !record.state.serves())
            };
            if *reply != FenceReply::Done && !sealed(reply) {
                return Err(Stop::in_the_way("the migration", one.partition, reply));
            }
        }
        Ok(())
    }

    /// One walk over all keys of `moves` at their source.
    async fn walk(&mut self, from: &ShardId, moves: &[Move]) -> Result<(), Stop> {
        let Some(scope) = scope(moves) else {
            return Ok(());
        };
        let partitions: Arc<BTreeSet<Partition>> = Arc::new(moves.iter().map(|one| one.partition).collect());
        let mut cursor = ScanCursor::START;
        loop {
            let ask = Ask::Scan {
                shard: from.clone(),
                partitions: Arc::clone(&partitions),
                scope,
                cursor,
            };
            let (items, next) = match self.ask(ask).await? {
                Answer::Scanned(items, next) => (items, next),
                other => return Err(Stop::unfit(&other)),
            };
            self.transfer(from, moves, items).await?;
            match next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }

    /// Copies what has changed since the last round; how much that was.
    pub(super) async fn round(&mut self, moves: &[Move]) -> Result<usize, Stop> {
        let mut changed = 0;
        for (from, moves) in by_source(moves) {
            let mut left = partitions(&moves);
            // After the seal nothing is added, and the last page is the last.
            for page in 0.. {
                if left.is_empty() || (page >= PAGES && self.sealed.is_empty()) {
                    break;
                }
                let (items, more) = self.changes(&from, &moves, left).await?;
                changed += items.len();
                self.transfer(&from, &moves, items).await?;
                left = more;
            }
        }
        Ok(changed)
    }

    /// The next changes of `left`, and which of them have more. Noted as copied: whoever asks copies them or gives up.
    async fn changes(
        &mut self,
        from: &ShardId,
        moves: &[Move],
        left: Vec<Partition>,
    ) -> Result<(Vec<CopyItem>, Vec<Partition>), Stop> {
        let Some(scope) = scope(moves) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let since = |partition: &Partition| (*partition, self.copied.get(partition).copied().unwrap_or(0));
        let ask = Ask::Dirty {
            shard: from.clone(),
            generation: self.generation,
            since: left.iter().map(since).collect(),
            scope,
        };
        let pages = match self.ask(ask).await? {
            Answer::Dirty(pages) if pages.len() == left.len() => pages,
            other => return Err(Stop::unfit(&other)),
        };
        let (mut items, mut more) = (Vec::new(), Vec::new());
        for (partition, page) in left.into_iter().zip(pages) {
            let Some(page) = page else {
                return Err(Stop::Refused(format!(
                    "{from} does not move partition {partition}"
                )));
            };
            self.copied.insert(partition, page.through);
            if page.more {
                more.push(partition);
            }
            items.extend(page.items);
        }
        Ok((items, more))
    }

    /// Copies `items` from their source to their targets.
    async fn transfer(&mut self, from: &ShardId, moves: &[Move], items: Vec<CopyItem>) -> Result<(), Stop> {
        let targets: BTreeMap<Partition, &ShardId> =
            moves.iter().map(|one| (one.partition, &one.to)).collect();
        let mut seen = BTreeSet::new();
        let mut queue: VecDeque<CopyItem> = items
            .into_iter()
            .filter(|item| seen.insert((item.partition, item.name.clone())))
            .map(|item| self.resumed(item))
            .collect();
        while !queue.is_empty() {
            let some = queue.drain(..queue.len().min(ITEMS_AT_ONCE)).collect();
            let parts = self.read(from, some).await?;
            let unfinished = parts.iter().filter(|part| !part.complete).map(|part| CopyItem {
                partition: part.partition,
                name: part.name.clone(),
                resume: part.mark.clone(),
            });
            // First the rest of what is begun: then at most so many are begun at a time.
            for item in unfinished.collect::<Vec<_>>().into_iter().rev() {
                queue.push_front(item);
            }
            let mut by_target: BTreeMap<&ShardId, Vec<CopyPart>> = BTreeMap::new();
            for part in parts {
                if let Some(to) = targets.get(&part.partition) {
                    by_target.entry(to).or_default().push(part);
                }
            }
            for (to, parts) in by_target {
                self.write(to, parts).await?;
            }
        }
        Ok(())
    }

    /// An item that was copied before, with where to go on.
    fn resumed(&self, item: CopyItem) -> CopyItem {
        let mark = self.marks.get(&(item.partition, item.name.clone()));
        CopyItem {
            resume: item.resume.or_else(|| mark.cloned()),
            ..item
        }
    }

    async fn read(&mut self, from: &ShardId, items: Vec<CopyItem>) -> Result<Vec<CopyPart>, Stop> {
        let many = items.len();
        let ask = Ask::Copy {
            shard: from.clone(),
            generation: self.generation,
            items,
        };
        match self.ask(ask).await? {
            Answer::Copied(parts) if parts.len() == many => {
                let parts: Option<Vec<CopyPart>> = parts.into_iter().collect();
                parts.ok_or_else(|| Stop::Refused(format!("{from} does not move what is being copied")))
            }
            other => Err(Stop::unfit(&other)),
        }
    }

    async fn write(&mut self, to: &ShardId, parts: Vec<CopyPart>) -> Result<(), Stop> {
        let bytes: usize = parts
            .iter()
            .map(|part| part.name.len() + part.content.len())
            .sum();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let ask = Ask::Restore {
            shard: to.clone(),
            generation: self.generation,
            token: self.token,
            parts: parts.clone(),
        };
        match self.ask(ask).await? {
            Answer::Restored(written) if written.len() == parts.len() => {
                if written.contains(&false) {
                    return Err(Stop::Refused(format!("{to} is being filled by another attempt")));
                }
            }
            other => return Err(Stop::unfit(&other)),
        }
        for part in parts {
            let item = (part.partition, part.name);
            match part.mark {
                Some(mark) => self.marks.insert(item, mark),
                None => self.marks.remove(&item),
            };
        }
        self.desk.note(|progress| progress.bytes += bytes);
        let pause = self.pace.sent(self.desk.now(), bytes);
        if let Some(pause) = pause.filter(|_| self.sealed.is_empty()) {
            self.ask(Ask::Pause(pause)).await?;
        }
        Ok(())
    }
}

/// Which keys of `moves`, which are of one announcement, are copied; `None`: none.
fn scope(moves: &[Move]) -> Option<CopyScope> {
    match moves.first()?.history {
        MoveHistory::Keep => Some(CopyScope::All),
        MoveHistory::Drop => holds(Safeguard::ResultsMove).then_some(CopyScope::Results),
    }
}

fn by_source(moves: &[Move]) -> BTreeMap<ShardId, Vec<Move>> {
    let mut sources: BTreeMap<ShardId, Vec<Move>> = BTreeMap::new();
    for one in moves {
        sources.entry(one.from.clone()).or_default().push(one.clone());
    }
    sources
}

/// Nothing if every reply is `Done`.
pub(super) fn all_done(act: &str, moves: &[Move], replies: &[FenceReply]) -> Result<(), Stop> {
    let refused = moves
        .iter()
        .zip(replies)
        .find(|(_, reply)| **reply != FenceReply::Done);
    refused.map_or(Ok(()), |(one, reply)| {
        Err(Stop::in_the_way(act, one.partition, reply))
    })
}
