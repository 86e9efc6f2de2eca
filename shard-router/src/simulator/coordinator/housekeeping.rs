//! What remains after moves: deleting leftovers, forgetting shards that are empty.

use std::rc::Rc;

use super::Term;
use crate::fence::{FenceCommand, FenceReply};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};
use crate::simulator::kernel::MS;
use crate::topology::{Change, Generation, ShardId, ShardState, Topology};

impl Term {
    pub(super) async fn keep_house(self: Rc<Self>) {
        while !self.over.get() {
            self.clean().await;
            self.forget().await;
            let pause = self.world.about(150 * MS);
            self.world.sleep(self.life, pause).await;
        }
    }

    /// Deletes what partitions have left behind, one shard at a time.
    async fn clean(&self) {
        let page = self.page();
        let Some(topology) = page.topology() else { return };
        let Some((shard, _)) = topology.cleaning.keys().next().cloned() else {
            return;
        };
        let listed = topology.cleaning.iter().filter(|((at, _), _)| *at == shard);
        let listed: Vec<(Partition, Generation)> = listed
            .map(|((_, partition), through)| (*partition, *through))
            .collect();
        if self.clean_shard(&shard, &listed).await.is_none() {
            return;
        }
        let cleaned = |topology: &Topology, change: Change| topology.cleaned(change, &shard, &listed);
        // If it is not written it is done again.
        let _ = self.commit(&page, page.least, cleaned).await;
    }

    async fn clean_shard(&self, shard: &ShardId, listed: &[(Partition, Generation)]) -> Option<()> {
        let commands = listed.to_vec();
        let closed = self.at(shard, move |state, _| {
            let close = |(partition, through): &(Partition, Generation)| {
                let through = *through;
                let reply = state.fence(*partition, &FenceCommand::Close { through });
                (*partition, through, reply)
            };
            Ok(commands.iter().map(close).collect::<Vec<_>>())
        });
        let closed = closed.await.ok()?;
        let mut leftovers: Vec<(Partition, Generation)> = closed
            .into_iter()
            .filter(|(_, _, reply)| *reply == FenceReply::Done || !holds(Safeguard::CleanFenced))
            .map(|(partition, through, _)| (partition, through))
            .collect();
        leftovers.sort_unstable();
        self.at(shard, move |state, _| {
            state.clean(&leftovers);
            Ok(())
        })
        .await
        .ok()
    }

    /// Takes shards off the list that have been emptied, when no gateway can miss their last words any more.
    async fn forget(&self) {
        let page = self.page();
        let Some(topology) = page.topology().cloned() else {
            return;
        };
        let empty = |id: &&ShardId| {
            topology.shards[*id].state == ShardState::Leaving
                && topology.owned_by(id).next().is_none()
                && !topology.cleaning.keys().any(|(shard, _)| shard == *id)
        };
        let Some(shard) = topology.shards.keys().find(empty).cloned() else {
            return;
        };
        let Ok(gateways) = self.world.registered(self.life).await else {
            return;
        };
        let all = gateways
            .iter()
            .all(|(_, report)| report.applied >= topology.generation);
        if all || !holds(Safeguard::RemovalWaits) {
            let forget = |topology: &Topology, change: Change| topology.forget(change, &shard);
            // Somebody else's change comes first; it is looked at again.
            let _ = self.commit(&page, page.least, forget).await;
        }
    }
}
