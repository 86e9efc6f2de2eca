//! What only coordinators do to a memory shard.

use super::MemoryState;
use crate::fence::{self, FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::topology::{DeploymentId, Generation, Token};

impl MemoryState {
    /// Carries out one act of a coordinator.
    pub fn fence(&mut self, partition: Partition, command: &FenceCommand) -> FenceReply {
        let data = self.data.partitions.entry(partition).or_default();
        let served = data.owner.as_ref().is_some_and(|record| record.state.serves());
        match fence::apply(data.owner.as_ref(), command) {
            Ok(None) => FenceReply::Done,
            Ok(Some(record)) => {
                if served && record.state == OwnerState::Sealed {
                    self.pubsub.mark(partition, record.generation);
                }
                data.owner = Some(record);
                FenceReply::Done
            }
            Err(fence::RecordInTheWay) => FenceReply::Refused(data.owner.clone()),
        }
    }

    /// All owner records, in the partitions' order.
    #[must_use]
    pub fn owners(&self) -> Vec<(Partition, OwnerRecord)> {
        let records = self.data.partitions.iter();
        records
            .filter_map(|(partition, data)| Some((*partition, data.owner.clone()?)))
            .collect()
    }

    /// Deletes what `partition` holds if it is being filled at `generation` by `token`.
    pub fn wipe(&mut self, partition: Partition, generation: Generation, token: Token) {
        let Some(data) = self.data.partitions.get_mut(&partition) else {
            return;
        };
        let importing = data.owner.as_ref().is_some_and(|record| {
            record.state == OwnerState::Importing && record.generation == generation && record.token == token
        });
        if importing {
            self.data.bytes -= data
                .channels
                .drain()
                .map(|(_, channel)| channel.bytes())
                .sum::<usize>();
        }
    }

    /// Notes that this run was admitted.
    pub fn note_admitted(&mut self, generation: Generation, deployment: DeploymentId) {
        self.data.admitted = Some(generation);
        self.data.deployment = Some(deployment);
    }
}
