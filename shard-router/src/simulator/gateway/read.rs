//! Reads of streams, at the partition's owner: the source of a move first, then its target.

use std::rc::Rc;
use std::sync::Arc;

use campanile_common::ChannelName;

use super::Gateway;
use crate::feed::PendingRead;
use crate::partition::Partition;
use crate::shard::{HistoryPage, HistoryRequest, ShardError};
use crate::simulator::cast::role;
use crate::simulator::connection::Connection;
use crate::simulator::kernel::MS;
use crate::simulator::task::Reply;
use crate::simulator::world::World;
use crate::topology::{PartitionState, ShardId};

impl Gateway {
    /// Carries a read out, and hands in what it brings.
    pub(super) fn begin_read(self: &Rc<Self>, world: &World, name: &ChannelName, pending: PendingRead) {
        let (gateway, world_of_task, name) = (Rc::clone(self), world.clone(), name.clone());
        world.spawn(self.life, async move {
            let world = world_of_task;
            let page = gateway.fetch(&world, &name, pending).await;
            let failed = page.is_err();
            let mut out = Vec::new();
            if let Some(channel) = gateway.state().channels.get_mut(&name) {
                match page {
                    Ok(page) => channel.feed.complete(pending, page, &mut out),
                    Err(_) => channel.feed.failed(pending),
                }
            }
            gateway.hand_out(&world, &name, &out);
            if failed {
                gateway.stirred.wait(&world, gateway.life, 15 * MS).await;
            }
            if let Some(channel) = gateway.state().channels.get_mut(&name) {
                channel.reading = false;
            }
            gateway.tend(&world, &name);
        });
    }

    async fn fetch(
        &self,
        world: &World,
        name: &ChannelName,
        pending: PendingRead,
    ) -> Result<HistoryPage, ShardError> {
        let role = role(name);
        let request = HistoryRequest {
            channel: name.clone(),
            range: pending.range(&self.feed_limits),
            meta_ttl: role
                .kind
                .limits()
                .map_or_else(Default::default, |limits| limits.meta_ttl),
            new_epoch: world.new_epoch(),
        };
        let partition = role.partition;
        self.at_owner(partition, |connection| {
            let request = request.clone();
            let patience = world.profile().patience;
            let (of_world, at, asked) = (
                world.clone(),
                connection.shard().clone(),
                request.new_epoch.clone(),
            );
            connection.call(world, patience, move |state, now| {
                let page = state.history(now, partition, request)?;
                if page.position.epoch == asked {
                    of_world.epoch_begun(&at, state.run(), &asked);
                }
                Ok(page)
            })
        })
        .await
    }

    /// Asks the shard that owns the partition, or, where that one says no, the one to which it moves.
    pub(super) async fn at_owner<T>(
        &self,
        partition: Partition,
        ask: impl Fn(&Connection) -> Reply<Result<T, ShardError>>,
    ) -> Result<T, ShardError> {
        let mut result = Err(ShardError::NotOwner);
        for shard in self.owners(partition) {
            let Some(connection) = self.connection(&shard) else {
                return Err(ShardError::Unavailable("not connected".into()));
            };
            result = ask(&connection).await;
            if !matches!(result, Err(ShardError::NotOwner)) {
                return result;
            }
        }
        result
    }

    /// The shards that may own a partition by the applied topology, the likelier first.
    pub(super) fn owners(&self, partition: Partition) -> Vec<ShardId> {
        let topology = self.state().topology.as_ref().map(Arc::clone);
        match topology.as_ref().map(|topology| topology.partition(partition)) {
            None => Vec::new(),
            Some(PartitionState::Stable(shard) | PartitionState::Opening { shard, .. }) => {
                vec![shard.clone()]
            }
            Some(PartitionState::Moving { from, to, .. }) => vec![from.clone(), to.clone()],
        }
    }
}
