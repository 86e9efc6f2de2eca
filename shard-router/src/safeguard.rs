//! The rules that keep moves safe, by name, so that the simulator can take one away and see what breaks.
//!
//! Outside this crate's unit tests every rule holds, always, and [`holds`] is a constant. In a unit test a rule is taken
//! away for the current thread by `without`: a rule that can be taken away without any violation is not tested.

/// One rule. Each variant says what the rule is, and what goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    dead_code,
    reason = "some rules are kept by the simulator's world, which is only there in tests"
)]
pub(crate) enum Safeguard {
    /// A partition is sealed only after every live gateway has acknowledged the move. Without it a gateway is not
    /// subscribed at the target yet, and misses what is published there.
    Barrier,
    /// A gateway acknowledges a move only when its subscriptions at both shards are. Without it the target publishes
    /// before the gateway hears it.
    AckWaitsForSubscribes,
    /// Acknowledgements are counted for each SUBSCRIBE request. Without it the answer to an earlier SUBSCRIBE of the
    /// same channel counts for the one that is still under way.
    AckCountsRequests,
    /// What the target sends is held back while the source may still deliver. Without it messages overtake each other.
    HoldBack,
    /// Holding back goes on past the commit until the source has nothing more to say. Without it the source's last
    /// messages come after the target's first.
    HoldPastCommit,
    /// Messages of a partition from any other shard than the one being drained are held. Without it a third shard's
    /// messages overtake the drained one's after an eviction.
    HoldFromAnyOther,
    /// A marker releases a hold-back only if it is of that move or a later one. Without it the late marker of an earlier
    /// move releases too early.
    MarkerGeneration,
    /// Whether the source may still deliver is evaluated whenever it matters, never remembered. Without it a connection
    /// that came back is taken for gone.
    DrainEvaluated,
    /// A gateway does not apply the next move of a partition before the hold-back of the one before is over. Without it
    /// what was held is delivered before what is still under way.
    NextMoveWaits,
    /// A gateway that had expired begins with new connections and nothing held. Without it what waited on the old ones
    /// is delivered after what came on the new.
    RejoinAfresh,
    /// Connections to a shard are made anew when it was admitted anew. Without it messages of before arrive among those
    /// of after.
    ConnectionsRenewed,
    /// A drained shard leaves the list only after every gateway has acknowledged the last commit. Without it the
    /// connection is closed with messages in it.
    RemovalWaits,
    /// A partition of which a marker from the future arrives is served only after re-reading the topology. Without it a
    /// gateway that nobody waits for goes on serving what has moved.
    ExpiredPartitionStops,
    /// An import begins with a wipe of the target. Without it what an earlier attempt left there is served as truth.
    ImportWipes,
    /// Only an importing partition is filled and opened. Without it a late coordinator opens what was never filled.
    ImportRequired,
    /// Filling and opening need the token of the import. Without it an older coordinator's copy replaces newer data.
    TokenChecked,
    /// Each attempt takes a token of its own. Without it a late copy of an earlier attempt of the same coordinator
    /// replaces newer data.
    TokenPerAttempt,
    /// A command older than the record is refused. Without it a coordinator that slept through a decision undoes it.
    GenerationChecked,
    /// What is sealed is never migrating or open again within its move. Without it source and target are open at once.
    SealedIsFinal,
    /// What changed during the first copy is copied again after the seal. Without it the target lacks the end.
    DirtyCopied,
    /// What is gone at the source is deleted at the target. Without it what was removed meanwhile comes back.
    DirtyDeletes,
    /// The results of publications move with the partition. Without it a retried publication is accepted twice.
    ResultsMove,
    /// The source's record is read again after the last copy, before the target opens. Without it what is opened may be
    /// another life of the source's partition.
    SourceReread,
    /// The source is read for copying only while it migrates or is sealed for this very move. Without it a copy takes
    /// what the source holds in a later life.
    DumpFenced,
    /// Leftovers are deleted only under a sealed record that is old enough. Without it a late cleaning deletes what lives.
    CleanFenced,
    /// What is to be cleaned stays listed until it is. Without it leftovers stay for ever when a coordinator dies.
    CleaningListed,
    /// The decision to open is in the topology before the act. Without it a partition stays closed for ever when a
    /// coordinator dies in between.
    IntentionFirst,
    /// The partitions that move away from an evicted shard go to their targets. Without it a third shard opens what the
    /// target has opened already.
    TargetInherits,
    /// Streams get new epochs where the target of a move was lost after the seal. Without it positions that the target
    /// gave away are given again.
    LostTargetRenewsEpochs,
    /// Reads are answered only where the partition is served. Without it a stream seems empty where it has moved away.
    ReadsFenced,
    /// A connection is used only while the trusted run answers. Without it a restarted shard goes on with old data.
    IncarnationChecked,
    /// Streams get new epochs where a run is admitted that may have forgotten. Without it a hole is taken for continuity.
    AdmissionRenewsEpochs,
    /// A late admission does not close what was decided about later. Without it a live partition is closed and emptied.
    AdmitGeneration,
    /// The epoch floor moves with the partition. Without it a move in order ends every stream's continuity.
    FloorTravels,
}

#[cfg(test)]
impl Safeguard {
    /// Every rule.
    pub(crate) const ALL: &[Self] = &[
        Self::Barrier,
        Self::AckWaitsForSubscribes,
        Self::AckCountsRequests,
        Self::HoldBack,
        Self::HoldPastCommit,
        Self::HoldFromAnyOther,
        Self::MarkerGeneration,
        Self::DrainEvaluated,
        Self::NextMoveWaits,
        Self::RejoinAfresh,
        Self::ConnectionsRenewed,
        Self::RemovalWaits,
        Self::ExpiredPartitionStops,
        Self::ImportWipes,
        Self::ImportRequired,
        Self::TokenChecked,
        Self::TokenPerAttempt,
        Self::GenerationChecked,
        Self::SealedIsFinal,
        Self::DirtyCopied,
        Self::DirtyDeletes,
        Self::ResultsMove,
        Self::SourceReread,
        Self::DumpFenced,
        Self::CleanFenced,
        Self::CleaningListed,
        Self::IntentionFirst,
        Self::TargetInherits,
        Self::LostTargetRenewsEpochs,
        Self::ReadsFenced,
        Self::IncarnationChecked,
        Self::AdmissionRenewsEpochs,
        Self::AdmitGeneration,
        Self::FloorTravels,
    ];
}

/// Whether `safeguard` is in force: always, but for the simulator's experiments.
#[cfg(not(test))]
#[inline]
pub(crate) fn holds(_safeguard: Safeguard) -> bool {
    true
}

#[cfg(test)]
pub(crate) use switched::{holds, without};

#[cfg(test)]
mod switched {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::Safeguard;

    thread_local! {
        static OFF: RefCell<BTreeSet<Safeguard>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Whether `safeguard` is in force on this thread.
    pub(crate) fn holds(safeguard: Safeguard) -> bool {
        OFF.with_borrow(|off| !off.contains(&safeguard))
    }

    /// Takes `safeguard` away on this thread while `experiment` runs.
    pub(crate) fn without<T>(safeguard: Safeguard, experiment: impl FnOnce() -> T) -> T {
        struct Restore(Safeguard);
        impl Drop for Restore {
            fn drop(&mut self) {
                OFF.with_borrow_mut(|off| off.remove(&self.0));
            }
        }
        OFF.with_borrow_mut(|off| off.insert(safeguard));
        let _restore = Restore(safeguard);
        experiment()
    }
}

#[cfg(test)]
mod tests;
