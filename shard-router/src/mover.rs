//! The mover: carries the partitions of one announcement from where they are to where they go. Without I/O.
//!
//! An [`Attempt`] says what it wants done ([`Ask`]), is told what came of it ([`Answer`]), and goes on; one thing at a
//! time. Whoever drives it does the asking, at shards and store, and tells it each newer topology
//! ([`Attempt::observe`]). It may be dropped after any answer, or its answer may never come: everything it does can be
//! taken up by another attempt, in this process or another, from the topology and the records of both shards alone.
//!
//! # The steps of an attempt
//!
//! 1. A token of its own, and the records of both shards: what an earlier attempt has done already, and what has become
//!    impossible.
//! 2. *Pre-copy*: `import` and a wipe at the target, `migrate` at the source, one walk over the source's keys, then
//!    rounds over what changed meanwhile, while they shrink. Publications go on. Paced.
//! 3. *Barrier*: every live gateway has applied the announcement; else the move is abandoned.
//! 4. By groups of a few partitions, so that each is closed only for moments: `seal` at the source, a copy of what
//!    changed, a last look at the source's record, `open` at the target.
//! 5. The commit, for all of them at once.
//!
//! # What goes wrong
//!
//! Before the seal, any failure ends the attempt; another one begins anew, with a new token, a wipe and a whole copy, so
//! that nothing half done ever counts. If it finds that the target does not answer, it abandons the move. The seal is the point of no return: from there on what fails is tried again
//! until it works or the topology says otherwise (a shard is lost). An answer that shows that somebody else has acted
//! ends the attempt: the next one looks again.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::shard::{CopyItem, CopyPart, CopyScope, DirtyPage, ScanCursor};
use crate::store::{GatewayId, GatewayReport};
use crate::topology::{Generation, PartitionState, ShardId, Token, Topology};

mod copying;
mod desk;
mod handover;
mod moves;
mod pace;
mod script;
mod settling;
mod standing;

#[cfg(test)]
mod tests;

use desk::Desk;
use script::Script;

/// One try to bring the partitions of one announcement to where they go.
///
/// [`Attempt::next_ask`] and [`Attempt::answer`] take turns until the ask is [`Ask::Done`].
pub struct Attempt {
    desk: Desk,
    /// The steps, written down in their order as a coroutine that waits for nothing but answers.
    script: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    outcome: Option<Outcome>,
}

/// How an attempt goes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptOptions {
    /// How long every live gateway may take to apply the announcement before the move is abandoned.
    pub barrier_timeout: Duration,
    /// Bytes per second before the seal; `None`: as fast as it goes. What is copied after the seal is never slowed down.
    pub move_rate: Option<NonZeroU64>,
}

/// What an attempt wants done next. One answer belongs to each but [`Ask::Done`].
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// The store's next token. → [`Answer::Token`]
    Token,
    /// The registry of live gateways, read now. → [`Answer::Gateways`]
    Gateways,
    /// The owner records of `partitions`, in order. → [`Answer::Records`]
    Records {
        /// At this shard.
        shard: ShardId,
        /// Whose.
        partitions: Vec<Partition>,
    },
    /// Fence commands, carried out in order. → [`Answer::Fenced`]
    Fence {
        /// At this shard.
        shard: ShardId,
        /// Which, for which partition.
        commands: Vec<(Partition, FenceCommand)>,
    },
    /// All keys of importing partitions deleted. → [`Answer::Wiped`]
    Wipe {
        /// At this shard.
        shard: ShardId,
        /// Whose keys.
        partitions: Vec<Partition>,
        /// The generation of the import.
        generation: Generation,
        /// The token of the import.
        token: Token,
    },
    /// One step of the walk over the keys of `partitions`. → [`Answer::Scanned`]
    Scan {
        /// At this shard.
        shard: ShardId,
        /// Whose keys.
        partitions: Arc<BTreeSet<Partition>>,
        /// Which of them.
        scope: CopyScope,
        /// Where the walk is.
        cursor: ScanCursor,
    },
    /// What has changed since the migration began. → [`Answer::Dirty`]
    Dirty {
        /// At this shard.
        shard: ShardId,
        /// The move.
        generation: Generation,
        /// Of each partition what came after this number.
        since: Vec<(Partition, u64)>,
        /// Which keys.
        scope: CopyScope,
    },
    /// Content for copying. → [`Answer::Copied`]
    Copy {
        /// From this shard.
        shard: ShardId,
        /// The move.
        generation: Generation,
        /// What.
        items: Vec<CopyItem>,
    },
    /// Content to be written, in order. → [`Answer::Restored`]
    Restore {
        /// To this shard.
        shard: ShardId,
        /// The generation of the import.
        generation: Generation,
        /// The token of the import.
        token: Token,
        /// What.
        parts: Vec<CopyPart>,
    },
    /// Nothing for a while. → [`Answer::Rested`]
    Pause(Duration),
    /// A change of the topology, by compare-and-set; the topology as it stands afterwards is observed before the answer.
    /// → [`Answer::Decided`]
    Commit(Decision),
    /// It is over.
    Done(Outcome),
}

/// What came of an [`Ask`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// A token that nobody else has.
    Token(Token),
    /// The live gateways.
    Gateways(Vec<(GatewayId, GatewayReport)>),
    /// The records, in the asked order.
    Records(Vec<Option<OwnerRecord>>),
    /// What each command came to, in order.
    Fenced(Vec<FenceReply>),
    /// All of it is gone.
    Wiped,
    /// Some items, and where to go on; `None`: that was all.
    Scanned(Vec<CopyItem>, Option<ScanCursor>),
    /// In the asked order; `None`: the partition is not being moved there.
    Dirty(Vec<Option<DirtyPage>>),
    /// In the asked order; `None`: the partition is not being moved there.
    Copied(Vec<Option<CopyPart>>),
    /// In order; false: the partition is not being filled by this token.
    Restored(Vec<bool>),
    /// Time has passed.
    Rested,
    /// The topology has been changed as asked, or by somebody else; it was observed.
    Decided,
    /// It was not done, or perhaps done and not answered: unreachable, overloaded, too late. Trying again may help.
    Failed(String),
    /// It cannot be done as things are; trying the same again does not help.
    Refused(String),
}

/// A change of the topology that an attempt wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// These are open at their targets: `Stable` there.
    Commit(Vec<Partition>),
    /// These moves are being abandoned.
    Abort(Vec<Partition>, Abandonment),
    /// These are open at their sources again: `Stable` there.
    Aborted(Vec<Partition>),
    /// These cannot be abandoned any more: they were sealed before. Moving on.
    Resume(Vec<Partition>),
    /// These are closed at their sources and will never be open at their targets: the source opens them again, with new
    /// epochs.
    Reclaim(Vec<Partition>),
}

/// Why a move is abandoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abandonment {
    /// A live gateway did not apply the announcement in time.
    Barrier {
        /// Which.
        gateway: GatewayId,
        /// What it says it waits for.
        obstacle: Option<String>,
    },
    /// The target is lost, or has been admitted anew since the announcement.
    TargetLost(ShardId),
    /// The target does not answer. Announced again when it can be reached.
    TargetSilent(ShardId),
    /// Source or target have been told otherwise since the announcement, by a decision that nobody wrote down.
    Overtaken,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// None of the announcement's partitions is moving any more.
    Finished,
    /// Some still are. The next attempt takes them up.
    Stopped {
        /// Why.
        reason: String,
        /// Whether the next one should come at once: somebody else has acted, and what to do has to be decided again.
        again: bool,
    },
}

/// How far an attempt is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Bytes copied by it.
    pub bytes: u64,
    /// What it cannot get done and goes on trying.
    pub trouble: Option<String>,
}

/// What an attempt is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Looking at what others have done.
    #[default]
    Survey,
    /// The first copy.
    Copying,
    /// Waiting for the gateways.
    Barrier,
    /// Seal, last copy, open.
    HandingOver,
    /// Writing down what came of it.
    Deciding,
}

impl Attempt {
    /// An attempt at the partitions of `topology` that the announcement of `generation` is moving.
    #[must_use]
    pub fn new(topology: Arc<Topology>, generation: Generation, options: AttemptOptions) -> Self {
        let desk = Desk::new(topology);
        let script = Script::new(desk.clone(), generation, options);
        Self {
            desk,
            script: Box::pin(script.run()),
            outcome: None,
        }
    }

    /// The announcements whose partitions are still moving, oldest first: one attempt is for one of them.
    #[must_use]
    pub fn due(topology: &Topology) -> BTreeSet<Generation> {
        let announced = |state: &PartitionState| match state {
            PartitionState::Moving { generation, .. } => Some(*generation),
            PartitionState::Stable(_) | PartitionState::Opening { .. } => None,
        };
        topology.partitions.iter().filter_map(announced).collect()
    }

    /// Tells it of a newer topology. Older ones are ignored.
    pub fn observe(&mut self, topology: Arc<Topology>) {
        self.desk.observe(topology);
    }

    /// What it wants done. The same again until it is answered.
    pub fn next_ask(&mut self) -> Ask {
        if let Some(outcome) = &self.outcome {
            return Ask::Done(outcome.clone());
        }
        if let Some(ask) = self.desk.pending() {
            return ask;
        }
        // The script waits for answers alone, and is polled when there is one.
        match self.script.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => {
                self.outcome = Some(outcome.clone());
                Ask::Done(outcome)
            }
            Poll::Pending => self.desk.pending().expect("a script that waits has asked"),
        }
    }

    /// Tells it what came of its ask, at `now`: the time since any moment that stays the same for one attempt.
    pub fn answer(&mut self, now: Duration, answer: Answer) {
        self.desk.answer(now, answer);
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.desk.progress()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("progress", &self.progress())
            .field("pending", &self.desk.pending())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Abandonment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barrier { gateway, obstacle } => {
                write!(f, "gateway {} has not applied it in time", gateway.0)?;
                obstacle.as_ref().map_or(Ok(()), |words| write!(f, ": {words}"))
            }
            Self::TargetLost(shard) => write!(f, "the target {shard} is lost or has restarted"),
            Self::TargetSilent(shard) => write!(f, "the target {shard} does not answer"),
            Self::Overtaken => f.write_str("its shards have been told otherwise"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Survey => "looking at what others have done",
            Self::Copying => "copying",
            Self::Barrier => "waiting for the gateways",
            Self::HandingOver => "handing over",
            Self::Deciding => "writing down",
        })
    }
}
