//! Looking after one shard: admitting its runs, opening what the topology says is to be opened.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Page, Term};
use crate::coordinator::decision::{self, Action, Seal, Sighting};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::shard::{Probe, ShardError};
use crate::simulator::cast::partitions;
use crate::simulator::connection::Connection;
use crate::simulator::kernel::MS;
use crate::topology::{Change, Generation, OpeningContent, PartitionState, ShardId, Topology};

/// What a look at a shard found.
struct Seen {
    connection: Connection,
    sighting: Sighting,
}

impl Term {
    /// Looks after `shard` as long as the term lasts.
    pub(super) async fn keep(self: Rc<Self>, shard: ShardId) {
        let mut closed = BTreeSet::new();
        while !self.over.get() {
            let pause = self.world.about(120 * MS);
            self.world.sleep(self.life, pause).await;
            let page = self.page();
            let Some(topology) = page.topology().cloned() else {
                continue;
            };
            if self.announcing.get() {
                continue;
            }
            self.looked_at.borrow_mut().insert(shard.clone());
            closed = self.attend(&page, &topology, &shard, closed).await;
            self.looked_at.borrow_mut().remove(&shard);
        }
    }

    /// Does the one thing that the shard needs first; what was found closed is remembered for the next look.
    async fn attend(
        &self,
        page: &Page,
        topology: &Topology,
        shard: &ShardId,
        closed: BTreeSet<Partition>,
    ) -> BTreeSet<Partition> {
        let Ok(seen) = self.look_at(topology, shard, closed).await else {
            return BTreeSet::new();
        };
        match decision::decide(topology, shard, &seen.sighting) {
            None => BTreeSet::new(),
            Some(Action::Open) => self.open(page, topology, shard, &seen).await.unwrap_or_default(),
            Some(action) => {
                // What is not written is found again.
                let _ = self.seal((page, topology), shard, &seen, &action).await;
                BTreeSet::new()
            }
        }
    }

    async fn look_at(
        &self,
        topology: &Topology,
        shard: &ShardId,
        mut closed: BTreeSet<Partition>,
    ) -> Result<Seen, ShardError> {
        let connection = self.connection(shard).await?;
        let run = connection.run().clone();
        let promoted = {
            let servers = self.world.servers();
            servers.get(shard).is_some_and(|server| server.promoted)
        };
        let noted = self.on(&connection, |state| (state.admitted(), state.deployment()));
        let (admitted, deployment) = noted.await?;
        let entry = topology.shards.get(shard);
        if entry.is_some_and(|entry| entry.incarnation.as_ref() == Some(&run)) {
            let records = self.on(&connection, |state| state.owners()).await?;
            let found = decision::found_closed(topology, shard, &records);
            closed.extend(
                found
                    .into_iter()
                    .filter(|partition| partitions().contains(partition)),
            );
        }
        let probe = Probe {
            incarnation: run,
            admitted,
            promoted,
            deployment,
            drain_asked: false,
        };
        let sighting = Sighting { probe, closed };
        Ok(Seen { connection, sighting })
    }

    /// Carries `act` out on the very run that was looked at.
    async fn on<T: std::fmt::Debug + 'static>(
        &self,
        connection: &Connection,
        act: impl FnOnce(&mut crate::memory::state::MemoryState) -> T + 'static,
    ) -> Result<T, ShardError> {
        let patience = self.world.profile().patience;
        connection
            .call(&self.world, patience, move |state, _| Ok(act(state)))
            .await
    }

    async fn fence_all(
        &self,
        seen: &Seen,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> Result<Vec<(Partition, FenceReply)>, ShardError> {
        self.on(&seen.connection, move |state| {
            let carry = |(partition, command): &(Partition, FenceCommand)| {
                (*partition, state.fence(*partition, command))
            };
            commands.iter().map(carry).collect()
        })
        .await
    }

    /// Closes what `action` is about, and writes down that it will be opened.
    async fn seal(
        &self,
        (page, topology): (&Page, &Topology),
        shard: &ShardId,
        seen: &Seen,
        action: &Action,
    ) -> Result<(), ShardError> {
        let records: Vec<(Partition, OwnerRecord)> =
            self.on(&seen.connection, |state| state.owners()).await?;
        if let Some(beyond) = decision::beyond(topology, &records) {
            let raise = |topology: &Topology, change: Change| topology.raised(change);
            // If it is not written, the page was old: what is found then is decided about.
            let _ = self.commit(page, beyond, raise).await;
            return Ok(());
        }
        let mut seal = Seal::plan((topology, shard), action, &records, page.least, self.token);
        // What is not played with is never closed, so that it need not be opened.
        seal.commands
            .retain(|(partition, _)| partitions().contains(partition));
        let sealed = seal.generation;
        let replies = self.fence_all(seen, seal.commands).await?;
        if replies.iter().any(|(_, reply)| *reply != FenceReply::Done) {
            return Err(ShardError::Refused("decided about by another".into()));
        }
        self.clear_out(topology, shard, seen, (&records, sealed)).await?;
        let run = seen.connection.run().clone();
        let admit = |topology: &Topology, change: Change| match action {
            Action::Admit { .. } => topology.admit(change, shard, run, sealed),
            Action::Reopen { partitions } => topology.reopen(change, shard, partitions, sealed),
            Action::Open => topology.opened(change, shard, &[]),
        };
        let _ = self.commit(page, sealed, admit).await;
        Ok(())
    }

    /// Rids a shard of what it has no part in any more: of everything, if it was lost.
    async fn clear_out(
        &self,
        topology: &Topology,
        shard: &ShardId,
        seen: &Seen,
        (records, sealed): (&[(Partition, OwnerRecord)], Generation),
    ) -> Result<(), ShardError> {
        let left: Vec<(Partition, Generation)> = decision::left_over(topology, shard, records)
            .into_iter()
            .map(|partition| (partition, sealed))
            .collect();
        self.on(&seen.connection, move |state| {
            for (partition, through) in &left {
                state.fence(*partition, &FenceCommand::Close { through: *through });
            }
            state.clean(&left);
        })
        .await
    }

    /// Opens what is decided to be opened, and writes down what has been; what was refused is handed back.
    async fn open(
        &self,
        page: &Page,
        topology: &Topology,
        shard: &ShardId,
        seen: &Seen,
    ) -> Result<BTreeSet<Partition>, ShardError> {
        let (admitted, deployment) = (topology.shards[shard].admitted, topology.deployment);
        self.on(&seen.connection, move |state| {
            state.note_admitted(admitted, deployment);
        })
        .await?;
        let mut refused = BTreeSet::new();
        let mut opened = Vec::new();
        for (partition, generation, content) in openings(topology, shard) {
            match self.open_one(seen, partition, generation, content).await? {
                Some(true) => opened.push((partition, generation)),
                Some(false) => drop(refused.insert(partition)),
                None => {}
            }
        }
        if !opened.is_empty() {
            let write = |topology: &Topology, change: Change| topology.opened(change, shard, &opened);
            // If it is not written it is found open, and written then.
            let _ = self.commit(page, page.least, write).await;
        }
        Ok(refused)
    }

    /// Whether it is open now; `None`: another coordinator has taken it over.
    async fn open_one(
        &self,
        seen: &Seen,
        partition: Partition,
        generation: Generation,
        content: OpeningContent,
    ) -> Result<Option<bool>, ShardError> {
        let token = self.token;
        let unless_open = match content {
            OpeningContent::Keep => {
                return self
                    .reopen(seen, partition, FenceCommand::Reopen { generation })
                    .await;
            }
            OpeningContent::Reclaim => {
                return self
                    .reopen(seen, partition, FenceCommand::Reclaim { generation })
                    .await;
            }
            OpeningContent::Fresh => None,
            OpeningContent::FreshUnlessOpen(moved) => Some(moved),
        };
        let take = FenceCommand::Fresh {
            generation,
            token,
            unless_open,
        };
        let reply = self.fence_all(seen, vec![(partition, take)]).await?.remove(0).1;
        match reply {
            FenceReply::Done => {}
            FenceReply::Refused(Some(record)) if is_open(&record, generation, unless_open) => {
                return Ok(Some(true));
            }
            FenceReply::Refused(Some(record))
                if record.generation == generation && record.state == OwnerState::Importing =>
            {
                return Ok(None);
            }
            FenceReply::Refused(_) => return Ok(Some(false)),
        }
        for many in [1, usize::MAX] {
            let wipe = move |state: &mut crate::memory::state::MemoryState| {
                state.wipe_some(partition, generation, token, many);
            };
            self.on(&seen.connection, wipe).await?;
        }
        let open = FenceCommand::Open { generation, token };
        let reply = self.fence_all(seen, vec![(partition, open)]).await?.remove(0).1;
        Ok((reply == FenceReply::Done).then_some(true))
    }

    async fn reopen(
        &self,
        seen: &Seen,
        partition: Partition,
        command: FenceCommand,
    ) -> Result<Option<bool>, ShardError> {
        let reply = self
            .fence_all(seen, vec![(partition, command)])
            .await?
            .remove(0)
            .1;
        Ok(Some(reply == FenceReply::Done))
    }
}

fn is_open(record: &OwnerRecord, generation: Generation, unless_open: Option<Generation>) -> bool {
    record.state == OwnerState::Open
        && (record.generation == generation || Some(record.generation) == unless_open)
}

/// What is to be opened on a shard.
fn openings(topology: &Topology, shard: &ShardId) -> Vec<(Partition, Generation, OpeningContent)> {
    let opening = |(partition, state): (Partition, &PartitionState)| match state {
        PartitionState::Opening {
            generation, content, ..
        } => Some((partition, *generation, *content)),
        _ => None,
    };
    let owned = topology
        .owned_by(shard)
        .filter(|(partition, _)| partitions().contains(partition));
    owned.filter_map(opening).collect()
}
