//! The owner fence: the record a shard keeps for each partition, and the acts that may change it.
//!
//! Pure: the memory shard runs this code, the Redis shard's script says the same in Lua, and the conformance suite
//! holds them together.

use serde::{Deserialize, Serialize};

use crate::topology::{Generation, Token};

/// Whether a partition is served at a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerState {
    /// Served here.
    Open,
    /// Served here, while every key that changes is noted for a later copy.
    Migrating,
    /// Closed; what is here is final.
    Sealed,
    /// Closed, being filled by the coordinator that holds the record's token.
    Importing,
}

impl OwnerState {
    /// Whether data scripts (publish, history, positions, presence) are answered.
    #[must_use]
    pub fn serves(self) -> bool {
        matches!(self, Self::Open | Self::Migrating)
    }
}

/// What a shard holds about one partition. No record at all: the partition is not here, which is also what a shard
/// says that restarted empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRecord {
    /// The generation at which the present state was decided; only ever grows.
    pub generation: Generation,
    /// Present state.
    pub state: OwnerState,
    /// Who may fill the partition while it is importing.
    pub token: Token,
    /// The epoch floor: streams stamped with another floor than this lost their continuity and get a new epoch the
    /// next time they are touched. It makes "renew every epoch of this partition" one write instead of a walk over
    /// all its keys. It travels with a partition that moves in order.
    pub floor: Generation,
}

/// An act of a coordinator on one partition of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceCommand {
    /// Close what a restarted or returning shard holds, before the topology trusts it. Requires a record older than
    /// `generation`, none at all, or this very seal. Raises the floor unless `keep_epochs` (a durable shard).
    Admit {
        /// The generation that will admit the shard.
        generation: Generation,
        /// The shard is declared durable and still knows the partition: nothing acknowledged can be missing.
        keep_epochs: bool,
    },
    /// Open again, content kept, what `Admit` closed at this very generation.
    Reopen {
        /// The generation that admitted the shard.
        generation: Generation,
    },
    /// Take the partition anew, content to be wiped. Requires a record older than `generation`, or none, or the
    /// same import by an older or equal token.
    Fresh {
        /// The generation that decided the opening.
        generation: Generation,
        /// The acting coordinator's token.
        token: Token,
    },
    /// Serve what was imported at this generation by this token.
    Open {
        /// The generation that decided the opening.
        generation: Generation,
        /// The acting coordinator's token.
        token: Token,
    },
}

/// A shard's answer to a [`FenceCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceReply {
    /// Carried out, now or by an earlier attempt.
    Done,
    /// Refused; this is the record that stands in the way (`None`: there is no record).
    Refused(Option<OwnerRecord>),
}

/// A command that does not fit the record it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partition's owner record stands in the way")]
pub struct RecordInTheWay;

/// Decides what becomes of a partition's `record` under `command`: the record to write, or `None` where an earlier
/// attempt of the same act has written it already.
///
/// Generations only grow, and within one generation each act leads from exactly one state to one other; so a
/// coordinator that slept through a decision can repeat itself for ever without undoing what others did since.
pub fn apply(
    record: Option<&OwnerRecord>,
    command: &FenceCommand,
) -> Result<Option<OwnerRecord>, RecordInTheWay> {
    match command {
        FenceCommand::Admit {
            generation,
            keep_epochs,
        } => admit(record, *generation, *keep_epochs),
        FenceCommand::Reopen { generation } => reopen(record, *generation),
        FenceCommand::Fresh { generation, token } => fresh(record, *generation, *token),
        FenceCommand::Open { generation, token } => open(record, *generation, *token),
    }
}

fn admit(
    record: Option<&OwnerRecord>,
    generation: Generation,
    keep_epochs: bool,
) -> Result<Option<OwnerRecord>, RecordInTheWay> {
    let sealed = |token, floor| OwnerRecord {
        generation,
        state: OwnerState::Sealed,
        token,
        floor,
    };
    match record {
        None => Ok(Some(sealed(Token::default(), generation))),
        Some(old) if old.generation < generation => {
            let floor = if keep_epochs { old.floor } else { generation };
            Ok(Some(sealed(old.token, floor)))
        }
        Some(old) if old.generation == generation && old.state == OwnerState::Sealed => Ok(None),
        Some(_) => Err(RecordInTheWay),
    }
}

fn reopen(
    record: Option<&OwnerRecord>,
    generation: Generation,
) -> Result<Option<OwnerRecord>, RecordInTheWay> {
    match record {
        Some(old) if old.generation == generation => match old.state {
            OwnerState::Sealed => Ok(Some(OwnerRecord {
                state: OwnerState::Open,
                ..old.clone()
            })),
            OwnerState::Open => Ok(None),
            OwnerState::Migrating | OwnerState::Importing => Err(RecordInTheWay),
        },
        _ => Err(RecordInTheWay),
    }
}

fn fresh(
    record: Option<&OwnerRecord>,
    generation: Generation,
    token: Token,
) -> Result<Option<OwnerRecord>, RecordInTheWay> {
    let importing = |floor| OwnerRecord {
        generation,
        state: OwnerState::Importing,
        token,
        floor,
    };
    match record {
        None => Ok(Some(importing(generation))),
        Some(old) if old.generation < generation => Ok(Some(importing(generation))),
        Some(old) if old.generation > generation || old.state != OwnerState::Importing => Err(RecordInTheWay),
        Some(old) if old.token == token => Ok(None),
        Some(old) if old.token < token => Ok(Some(importing(old.floor))),
        Some(_) => Err(RecordInTheWay),
    }
}

fn open(
    record: Option<&OwnerRecord>,
    generation: Generation,
    token: Token,
) -> Result<Option<OwnerRecord>, RecordInTheWay> {
    match record {
        Some(old) if old.generation == generation => match old.state {
            OwnerState::Open => Ok(None),
            OwnerState::Importing if old.token == token => Ok(Some(OwnerRecord {
                state: OwnerState::Open,
                ..old.clone()
            })),
            _ => Err(RecordInTheWay),
        },
        _ => Err(RecordInTheWay),
    }
}

#[cfg(test)]
mod tests;
