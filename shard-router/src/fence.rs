//! The owner fence: the record a shard keeps for each partition, and the acts that may change it.
//!
//! Pure: the memory shard runs this code, the Redis shard's script says the same in Lua, and the conformance suite
//! holds them together.

use serde::{Deserialize, Serialize};

use crate::safeguard::{Safeguard, holds};
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
        /// Unless the partition is open by the move of this generation: then it is refused, which says "keep it".
        unless_open: Option<Generation>,
    },
    /// Serve what was imported at this generation by this token.
    Open {
        /// The generation that decided the opening, or announced the move.
        generation: Generation,
        /// The acting coordinator's token.
        token: Token,
    },
    /// At a move's target: begin to be filled. Requires a record older than `generation`, or none, or the same import by
    /// an older or equal token. Refused by a record that is open at `generation`: the move has opened it already.
    Import {
        /// The generation that announced the move.
        generation: Generation,
        /// The attempt's token.
        token: Token,
        /// The source's floor, so that a move in order ends no stream's continuity.
        floor: Generation,
    },
    /// At a move's source: go on serving, and note what changes. Requires an open record older than `generation`.
    /// Refused by a record that is sealed at `generation`: the move has come further already.
    Migrate {
        /// The generation that announced the move.
        generation: Generation,
    },
    /// At a move's source: stop serving, for good, and tell the gateways by a marker. Requires that it migrates for this
    /// move.
    Seal {
        /// The generation that announced the move.
        generation: Generation,
    },
    /// At the source of an abandoned move: serve as before. Requires an open or migrating record that is not newer than
    /// the move. Refused by one that is sealed: it is too late.
    Abort {
        /// The generation that decided to abandon the move; the record's from now on.
        generation: Generation,
        /// The generation that announced it.
        moving: Generation,
    },
    /// At the sealed source of a move whose target is lost: serve again what is there, under a new floor. Requires an
    /// older record that is sealed or importing.
    Reclaim {
        /// The generation that decided it; record's and floor's from now on.
        generation: Generation,
    },
    /// Where a partition has left, or was never moved to the end: make sure that it is sealed and stays so, whose leftovers
    /// are about to be deleted. Requires a sealed or importing record that is not newer than `through`, or none.
    Close {
        /// The latest generation whose leftovers are meant.
        through: Generation,
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
        FenceCommand::Fresh {
            generation,
            token,
            unless_open,
        } => fresh(record, *generation, *token, *unless_open),
        FenceCommand::Open { generation, token } => open(record, *generation, *token),
        FenceCommand::Import {
            generation,
            token,
            floor,
        } => import(record, *generation, *token, *floor),
        FenceCommand::Migrate { generation } => migrate(record, *generation),
        FenceCommand::Seal { generation } => seal(record, *generation),
        FenceCommand::Abort { generation, moving } => abort(record, *generation, *moving),
        FenceCommand::Reclaim { generation } => reclaim(record, *generation),
        FenceCommand::Close { through } => close(record, *through),
    }
}

/// What an act makes of a record, as [`apply`] says it.
type Outcome = Result<Option<OwnerRecord>, RecordInTheWay>;

impl OwnerRecord {
    /// The same, decided anew.
    fn becomes(&self, generation: Generation, state: OwnerState) -> Outcome {
        Ok(Some(Self {
            generation,
            state,
            ..self.clone()
        }))
    }

    /// Whether an act of `generation` comes after this record.
    fn is_before(&self, generation: Generation) -> bool {
        self.generation < generation || (self.generation > generation && !holds(Safeguard::GenerationChecked))
    }

    /// Whether it is of `generation`.
    fn is_of(&self, generation: Generation) -> bool {
        self.generation == generation || !holds(Safeguard::GenerationChecked)
    }

    /// Whether a coordinator with `token` may act on what this record's holder began.
    fn yields_to(&self, token: Token) -> bool {
        self.token <= token || !holds(Safeguard::TokenChecked)
    }
}

fn admit(record: Option<&OwnerRecord>, generation: Generation, keep_epochs: bool) -> Outcome {
    let sealed = |token, floor| {
        Ok(Some(OwnerRecord {
            generation,
            state: OwnerState::Sealed,
            token,
            floor,
        }))
    };
    let Some(old) = record else {
        return sealed(Token::default(), generation);
    };
    if old.generation < generation || !holds(Safeguard::AdmitGeneration) {
        let keep = keep_epochs || !holds(Safeguard::AdmissionRenewsEpochs);
        return sealed(old.token, if keep { old.floor } else { generation });
    }
    if old.generation == generation && old.state == OwnerState::Sealed {
        return Ok(None);
    }
    Err(RecordInTheWay)
}

fn reopen(record: Option<&OwnerRecord>, generation: Generation) -> Outcome {
    match record {
        Some(old) if old.is_of(generation) => match old.state {
            OwnerState::Sealed => old.becomes(generation, OwnerState::Open),
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
    unless_open: Option<Generation>,
) -> Outcome {
    match record {
        Some(old) if old.state == OwnerState::Open && Some(old.generation) == unless_open => {
            Err(RecordInTheWay)
        }
        _ => take(record, generation, token, generation),
    }
}

/// Closes a partition so that the holder of `token` may fill it, under `floor` if nobody has begun to.
fn take(record: Option<&OwnerRecord>, generation: Generation, token: Token, floor: Generation) -> Outcome {
    let importing = |floor| {
        Ok(Some(OwnerRecord {
            generation,
            state: OwnerState::Importing,
            token,
            floor,
        }))
    };
    match record {
        None => importing(floor),
        Some(old) if old.is_before(generation) => importing(floor),
        Some(old) if old.generation > generation || old.state != OwnerState::Importing => Err(RecordInTheWay),
        Some(old) if old.token == token => Ok(None),
        Some(old) if old.yields_to(token) => importing(old.floor),
        Some(_) => Err(RecordInTheWay),
    }
}

fn open(record: Option<&OwnerRecord>, generation: Generation, token: Token) -> Outcome {
    let Some(old) = record.filter(|old| old.is_of(generation)) else {
        return unfilled(record, generation, token);
    };
    let own = old.token == token || !holds(Safeguard::TokenChecked);
    match old.state {
        OwnerState::Open => Ok(None),
        OwnerState::Importing if own => old.becomes(generation, OwnerState::Open),
        _ => Err(RecordInTheWay),
    }
}

/// What [`open`] says where no import of this generation is on record.
fn unfilled(record: Option<&OwnerRecord>, generation: Generation, token: Token) -> Outcome {
    if holds(Safeguard::ImportRequired) || record.is_some_and(|old| old.generation > generation) {
        return Err(RecordInTheWay);
    }
    Ok(Some(OwnerRecord {
        generation,
        state: OwnerState::Open,
        token,
        floor: generation,
    }))
}

fn import(record: Option<&OwnerRecord>, generation: Generation, token: Token, floor: Generation) -> Outcome {
    let floor = if holds(Safeguard::FloorTravels) {
        floor
    } else {
        generation
    };
    take(record, generation, token, floor)
}

fn migrate(record: Option<&OwnerRecord>, generation: Generation) -> Outcome {
    let Some(old) = record else {
        return Err(RecordInTheWay);
    };
    match old.state {
        OwnerState::Open if old.is_before(generation) => old.becomes(generation, OwnerState::Migrating),
        OwnerState::Migrating if old.generation == generation => Ok(None),
        OwnerState::Sealed if old.generation == generation && !holds(Safeguard::SealedIsFinal) => {
            old.becomes(generation, OwnerState::Migrating)
        }
        _ => Err(RecordInTheWay),
    }
}

fn seal(record: Option<&OwnerRecord>, generation: Generation) -> Outcome {
    match record {
        Some(old) if old.is_of(generation) => match old.state {
            OwnerState::Migrating => old.becomes(generation, OwnerState::Sealed),
            OwnerState::Sealed => Ok(None),
            OwnerState::Open | OwnerState::Importing => Err(RecordInTheWay),
        },
        _ => Err(RecordInTheWay),
    }
}

fn abort(record: Option<&OwnerRecord>, generation: Generation, moving: Generation) -> Outcome {
    let Some(old) = record else {
        return Err(RecordInTheWay);
    };
    if old.generation == generation && old.state == OwnerState::Open {
        return Ok(None);
    }
    let of_the_move = old.generation <= moving || !holds(Safeguard::GenerationChecked);
    match old.state {
        OwnerState::Open | OwnerState::Migrating if of_the_move => old.becomes(generation, OwnerState::Open),
        OwnerState::Sealed if of_the_move && !holds(Safeguard::SealedIsFinal) => {
            old.becomes(generation, OwnerState::Open)
        }
        _ => Err(RecordInTheWay),
    }
}

fn reclaim(record: Option<&OwnerRecord>, generation: Generation) -> Outcome {
    let Some(old) = record else {
        return Err(RecordInTheWay);
    };
    match old.state {
        OwnerState::Open if old.generation == generation => Ok(None),
        OwnerState::Sealed | OwnerState::Importing if old.is_before(generation) => {
            let floor = if holds(Safeguard::LostTargetRenewsEpochs) {
                generation
            } else {
                old.floor
            };
            Ok(Some(OwnerRecord {
                generation,
                state: OwnerState::Open,
                token: old.token,
                floor,
            }))
        }
        _ => Err(RecordInTheWay),
    }
}

fn close(record: Option<&OwnerRecord>, through: Generation) -> Outcome {
    let Some(old) = record else { return Ok(None) };
    match old.state {
        _ if old.generation > through => Err(RecordInTheWay),
        OwnerState::Sealed => Ok(None),
        OwnerState::Importing => old.becomes(old.generation, OwnerState::Sealed),
        OwnerState::Open | OwnerState::Migrating => Err(RecordInTheWay),
    }
}

#[cfg(test)]
mod tests;
