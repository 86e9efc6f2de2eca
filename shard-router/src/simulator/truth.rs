//! What really happened: which publication was accepted where, as which, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use campanile_common::{ChannelName, Epoch, Offset, Position};

use super::cast::{Role, cast};
use super::clients::id_of;
use super::kernel::Micros;
use crate::partition::Partition;
use crate::publication::Publication;
use crate::topology::ShardId;

/// A publication's content.
pub(super) type Id = u64;

#[derive(Default)]
pub(super) struct Truth {
    channels: BTreeMap<ChannelName, ChannelTruth>,
    /// Of each partition, when something may last have been lost with good reason: it was opened other than by a move.
    losses: BTreeMap<Partition, Micros>,
    /// Of each partition, when it last was moving without its history: `Micros::MAX` while it is.
    drops: BTreeMap<Partition, Micros>,
    /// Epochs that a shard out of office has made.
    stray_epochs: BTreeSet<String>,
    next_id: Id,
}

/// The same of one channel.
#[derive(Default)]
pub(super) struct ChannelTruth {
    /// In the order of acceptance.
    pub(super) accepted: Vec<Accepted>,
    /// Where in that list each publication is. More than once: it was accepted more than once.
    places: BTreeMap<Id, Vec<usize>>,
    epochs: BTreeMap<String, EpochTruth>,
    /// The epoch of what was accepted last by a shard in office.
    present: Option<Epoch>,
    /// The newest version accepted in office, and when.
    version: Option<(u64, Micros)>,
    /// When the stream was last emptied.
    emptied: Option<Micros>,
}

#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) id: Id,
    pub(super) position: Option<Position>,
    /// Whether the shard was out of office (evicted, and did not know).
    pub(super) stray: bool,
    pub(super) shard: ShardId,
    pub(super) at: Micros,
    pub(super) version: Option<u64>,
}

#[derive(Default)]
struct EpochTruth {
    /// By offset, the place in the list.
    offsets: BTreeMap<u64, usize>,
}

/// What an acceptance breaks.
pub(super) type Broken = (&'static str, String);

impl Truth {
    pub(super) fn new() -> Self {
        let channel = |role: &Role| (role.name.clone(), ChannelTruth::default());
        Self {
            channels: cast().iter().map(channel).collect(),
            ..Self::default()
        }
    }

    pub(super) fn next_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn channel(&self, name: &ChannelName) -> &ChannelTruth {
        &self.channels[name]
    }

    /// A partition is to be opened other than by a move: what it held may be missing.
    pub(super) fn note_loss(&mut self, partition: Partition, now: Micros) {
        self.losses.insert(partition, now);
    }

    /// A partition is moving without its history (`None`), or was until now.
    pub(super) fn note_drop(&mut self, partition: Partition, ended: Option<Micros>) {
        self.drops.insert(partition, ended.unwrap_or(Micros::MAX));
    }

    /// A shard out of office has begun an epoch.
    pub(super) fn note_stray_epoch(&mut self, epoch: &Epoch) {
        self.stray_epochs.insert(epoch.to_string());
    }

    /// A stream was emptied on request.
    pub(super) fn note_emptied(&mut self, name: &ChannelName, now: Micros) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.emptied = Some(now);
        }
    }

    /// Whether there is a reason why a position may not be continued.
    pub(super) fn may_be_lost(&self, role: &Role, had: &Position) -> bool {
        let made = made_at(&had.epoch);
        let since = |times: &BTreeMap<Partition, Micros>| {
            times.get(&role.partition).is_some_and(|last| *last >= made)
        };
        since(&self.losses) || since(&self.drops) || self.stray_epochs.contains(had.epoch.as_str())
    }

    /// Whether the partition ever moved without its history.
    pub(super) fn was_dropped(&self, role: &Role) -> bool {
        self.drops.contains_key(&role.partition)
    }

    /// What is missing or wrong between a position and a later one, if `publications` is all there is between them.
    pub(super) fn hole(
        &self,
        name: &ChannelName,
        had: &Position,
        told: &Position,
        publications: &[Arc<Publication>],
    ) -> Option<String> {
        let channel = self.channel(name);
        if had.epoch != told.epoch {
            return Some("the epoch is another".into());
        }
        let offsets: Vec<u64> = publications.iter().map(|one| one.offset.get()).collect();
        let expected: Vec<u64> = (had.offset.get() + 1..=told.offset.get()).collect();
        if offsets != expected {
            return Some(format!("it got {offsets:?}"));
        }
        let wrong = publications.iter().find(|one| {
            let accepted = channel.at(&told.epoch, one.offset);
            accepted.map(|accepted| accepted.id) != Some(id_of(one))
        });
        if let Some(wrong) = wrong {
            return Some(format!("{} is not what was accepted", wrong.offset));
        }
        channel
            .interrupted(&told.epoch, had.offset, told.offset)
            .then(|| "another epoch lies between them".into())
    }

    /// A shard has accepted a publication.
    pub(super) fn accept(&mut self, role: &Role, accepted: &Accepted) -> Result<(), Broken> {
        let lost = self.losses.get(&role.partition).copied();
        let dropped = self.drops.get(&role.partition).copied();
        let name = &role.name;
        let channel = self.channels.entry(name.clone()).or_default();
        let place = channel.accepted.len();
        channel.places.entry(accepted.id).or_default().push(place);
        channel.accepted.push(accepted.clone());
        if accepted.stray {
            return match &accepted.position {
                Some(position) => channel.append(name, position, place, true),
                None => Ok(()),
            };
        }
        channel.check_once(name, accepted, lost)?;
        channel.check_version(name, accepted, lost.max(dropped))?;
        match &accepted.position {
            Some(position) => channel.append(name, position, place, false),
            None => Ok(()),
        }
    }
}

/// When an epoch's name was made: the world writes it into the name.
fn made_at(epoch: &Epoch) -> Micros {
    let time = epoch.as_str().split_once('.').map(|(_, time)| time.parse());
    time.and_then(Result::ok).unwrap_or(0)
}

impl ChannelTruth {
    fn append(
        &mut self,
        name: &ChannelName,
        position: &Position,
        place: usize,
        stray: bool,
    ) -> Result<(), Broken> {
        let used = self.epochs.contains_key(position.epoch.as_str());
        if !stray {
            if used && self.present.as_ref() != Some(&position.epoch) {
                return Err((
                    "epochs_never_return",
                    format!("{name} went back to {position} after {:?}", self.present),
                ));
            }
            self.present = Some(position.epoch.clone());
        }
        let epoch = self.epochs.entry(position.epoch.to_string()).or_default();
        let last = epoch.offsets.last_key_value().map(|(offset, _)| *offset);
        if last.is_some_and(|last| position.offset.get() != last + 1) {
            return Err((
                "offsets_dense",
                format!("{name}: {position} was given after offset {last:?}"),
            ));
        }
        epoch.offsets.insert(position.offset.get(), place);
        Ok(())
    }

    /// A publication under a key is accepted once, unless the memory of the first time may have been lost since.
    fn check_once(
        &self,
        name: &ChannelName,
        accepted: &Accepted,
        lost: Option<Micros>,
    ) -> Result<(), Broken> {
        let places = &self.places[&accepted.id];
        let before = places.iter().rev().nth(1).map(|place| &self.accepted[*place]);
        let Some(before) = before.filter(|before| !before.stray && lost.is_none_or(|lost| lost < before.at))
        else {
            return Ok(());
        };
        Err((
            "accepted_once",
            format!(
                "{name} #{} was accepted by {} and by {}",
                accepted.id, before.shard, accepted.shard
            ),
        ))
    }

    /// Versions grow, unless the memory of the last one may have been lost since.
    fn check_version(
        &mut self,
        name: &ChannelName,
        accepted: &Accepted,
        lost: Option<Micros>,
    ) -> Result<(), Broken> {
        let Some(version) = accepted.version else {
            return Ok(());
        };
        let before = self.version.replace((version, accepted.at));
        let Some((newest, _)) =
            before.filter(|(newest, at)| *newest >= version && lost.is_none_or(|lost| lost < *at))
        else {
            return Ok(());
        };
        Err((
            "versions_grow",
            format!("{name}: version {version} was accepted after {newest}"),
        ))
    }

    /// Where in the order of acceptance a publication is.
    pub(super) fn places(&self, id: Id) -> &[usize] {
        self.places.get(&id).map_or(&[], Vec::as_slice)
    }

    /// What was accepted at a position.
    pub(super) fn at(&self, epoch: &Epoch, offset: Offset) -> Option<&Accepted> {
        let place = self.epochs.get(epoch.as_str())?.offsets.get(&offset.get())?;
        Some(&self.accepted[*place])
    }

    /// The highest offset given in an epoch.
    pub(super) fn top(&self, epoch: &Epoch) -> Option<Offset> {
        let offsets = &self.epochs.get(epoch.as_str())?.offsets;
        offsets.last_key_value().map(|(offset, _)| Offset(*offset))
    }

    /// Whether a shard in office accepted something in another epoch between two offsets of this one.
    pub(super) fn interrupted(&self, epoch: &Epoch, from: Offset, to: Offset) -> bool {
        let place = |offset: Offset| {
            let epoch = self.epochs.get(epoch.as_str())?;
            epoch.offsets.get(&offset.get()).copied()
        };
        let (Some(first), Some(last)) = (place(from), place(to)) else {
            return false;
        };
        self.accepted[first..=last].iter().any(|accepted| {
            let position = accepted.position.as_ref();
            !accepted.stray && position.is_some_and(|position| position.epoch != *epoch)
        })
    }
}
