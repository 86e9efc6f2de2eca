//! What only coordinators do to a memory shard.

use super::MemoryState;
use super::dirty::Dirty;
use crate::fence::{self, FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::shard::ShardUsage;
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
                // When a partition is opened, whoever was interested in what changed before is not any more.
                if record.state.serves() {
                    data.dirty = Dirty::default();
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

    /// The owner records of `partitions`, in order.
    #[must_use]
    pub fn records(&self, partitions: &[Partition]) -> Vec<Option<OwnerRecord>> {
        let record = |partition| self.data.partitions.get(partition)?.owner.clone();
        partitions.iter().map(record).collect()
    }

    /// Which of `partitions` are sealed, and at which generation.
    #[must_use]
    pub fn sealed(&self, partitions: &[Partition]) -> Vec<(Partition, Generation)> {
        let records = partitions.iter().zip(self.records(partitions));
        records
            .filter_map(|(partition, record)| Some((*partition, record?)))
            .filter(|(_, record)| record.state == OwnerState::Sealed)
            .map(|(partition, record)| (partition, record.generation))
            .collect()
    }

    /// Deletes what `partition` holds if it is being filled at `generation` by `token`.
    pub fn wipe(&mut self, partition: Partition, generation: Generation, token: Token) {
        self.wipe_some(partition, generation, token, usize::MAX);
    }

    /// The same for `channels` channels only, as a wipe that ends half-way does.
    pub fn wipe_some(&mut self, partition: Partition, generation: Generation, token: Token, channels: usize) {
        let importing = |record: &OwnerRecord| {
            record.state == OwnerState::Importing && record.generation == generation && record.token == token
        };
        let Some(data) = self
            .data
            .partitions
            .get_mut(&partition)
            .filter(|data| data.is(importing))
        else {
            return;
        };
        self.data.bytes -= data.drop_channels(channels);
    }

    /// Notes that this run was admitted.
    pub fn note_admitted(&mut self, generation: Generation, deployment: DeploymentId) {
        self.data.admitted = Some(generation);
        self.data.deployment = Some(deployment);
    }
    /// Whether somebody has asked that the shard be drained.
    #[must_use]
    pub fn drain_asked(&self) -> bool {
        self.data.drain_asked
    }

    /// Asks for it.
    pub fn ask_to_drain(&mut self) {
        self.data.drain_asked = true;
    }

    /// Whether nothing is left here, as was noted for whoever asked.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.data.drained
    }

    /// Notes that nothing is left here; false takes that and the request back.
    pub fn note_drained(&mut self, drained: bool) {
        self.data.drained = drained;
        self.data.drain_asked &= drained;
    }

    /// How much there is.
    #[must_use]
    pub fn usage(&self) -> ShardUsage {
        let channels: usize = self
            .data
            .partitions
            .values()
            .map(|data| data.channels.len())
            .sum();
        ShardUsage {
            bytes: u64::try_from(self.data.bytes).unwrap_or(u64::MAX),
            keys: u64::try_from(channels).unwrap_or(u64::MAX),
            operations: None,
        }
    }
}
