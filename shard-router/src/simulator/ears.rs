//! What each gateway must hear of each channel without a stream: everything, once, in the order in which it was accepted.
//!
//! The excuses, each as narrow as it can be told:
//!
//! * what was accepted before the gateway's first subscriber of the channel had joined;
//! * a link that broke, or a gateway that joined anew: what was accepted from then until the channel is subscribed wherever
//!   it must be again;
//! * an eviction, or an admission of another run: the same, but at the earliest when the gateway serves by a topology that
//!   knows of it;
//! * a gateway whose registration has expired and that does not know it: everything (it learns of it, and joins anew);
//! * too much held back of a channel without a stream: what was accepted until then, and the gateway counts it;
//! * what a shard accepted after its eviction, of which it knew nothing.
//!
//! Nothing excuses what comes twice or in another order, except that eviction: two shards accept then, each on its own.

use std::collections::BTreeMap;

use campanile_common::ChannelName;

use super::cast::{Kind, role};
use super::kernel::Life;
use super::truth::{Accepted, Id};
use super::world::World;
use crate::topology::Generation;

/// All ears of the world.
#[derive(Default)]
pub(super) struct Ears(BTreeMap<(Life, ChannelName), Ear>);

/// What one gateway has heard of one channel.
#[derive(Clone, Debug)]
struct Ear {
    /// The place, in the order of acceptance, of the last publication heard.
    last: Option<usize>,
    /// Everything from this place on must be heard.
    from: usize,
    /// Set while messages may be missed, until the channel is subscribed again by a topology at least so new.
    excused: Option<Generation>,
    /// What was accepted before this place may come in another order: two shards accepted it.
    disordered: usize,
}

impl Ears {
    /// A subscriber has joined.
    pub(super) fn opened(&mut self, world: &World, gateway: Life, name: &ChannelName) {
        if role(name).kind != Kind::Plain {
            return;
        }
        let accepted = world.truth().channel(name).accepted.len();
        self.0.entry((gateway, name.clone())).or_insert(Ear {
            last: None,
            from: accepted,
            excused: None,
            disordered: 0,
        });
    }

    /// The channels that a gateway listens to.
    pub(super) fn of(&self, gateway: Life) -> Vec<(Life, ChannelName)> {
        self.0.keys().filter(|(of, _)| *of == gateway).cloned().collect()
    }

    /// Nobody listens any more.
    pub(super) fn closed(&mut self, gateway: Life, name: &ChannelName) {
        self.0.remove(&(gateway, name.clone()));
    }

    /// Messages may be missed from now on.
    pub(super) fn interrupted(&mut self, gateway: Life, name: &ChannelName) {
        if let Some(ear) = self.0.get_mut(&(gateway, name.clone())) {
            ear.excused = Some(ear.excused.unwrap_or_default());
        }
    }

    /// A partition came into other hands without a move: nobody waits for the gateways then.
    pub(super) fn overruled(&mut self, world: &World, channels: &[ChannelName], by: Generation) {
        for ((_, name), ear) in &mut self.0 {
            if channels.contains(name) {
                ear.excused = Some(by.max(ear.excused.unwrap_or_default()));
                ear.disordered = world.truth().channel(name).accepted.len();
            }
        }
    }

    /// The channel is subscribed wherever it must be by the topology of generation `applied`.
    pub(super) fn attached(&mut self, world: &World, gateway: Life, name: &ChannelName, applied: Generation) {
        let accepted = world.truth().channel(name).accepted.len();
        let Some(ear) = self.0.get_mut(&(gateway, name.clone())) else {
            return;
        };
        if ear.excused.is_some_and(|since| since <= applied) {
            ear.excused = None;
            ear.from = accepted;
        }
    }

    /// Too much was held back.
    pub(super) fn overflowed(&mut self, world: &World, gateway: Life, name: &ChannelName) {
        let accepted = world.truth().channel(name).accepted.len();
        if let Some(ear) = self.0.get_mut(&(gateway, name.clone())) {
            ear.from = accepted;
        }
    }

    /// A publication is handed to the subscribers.
    pub(super) fn hear(&mut self, world: &World, gateway: Life, name: &ChannelName, id: Id) {
        let Some(ear) = self.0.get_mut(&(gateway, name.clone())) else {
            return;
        };
        let truth = world.truth();
        let channel = truth.channel(name);
        // What was tried again after a loss may have been accepted twice: then it is the one that is waited for.
        let after =
            |place: &usize| ear.last.is_none_or(|last| *place > last) && !channel.accepted[*place].stray;
        let candidates = || channel.places(id).iter().copied().filter(after);
        let awaited = candidates().find(|place| *place >= ear.from);
        let Some(place) = awaited.or_else(|| candidates().next_back()) else {
            let disordered = channel
                .places(id)
                .iter()
                .any(|place| *place < ear.disordered || channel.accepted[*place].stray);
            if !disordered {
                drop(truth);
                world.violated("exactly_once_in_order", || {
                    format!(
                        "{} got {name} #{id} again or late, after place {:?}",
                        world.name(gateway),
                        ear.last
                    )
                });
            }
            return;
        };
        let first = ear.last.map_or(0, |last| last + 1).max(ear.from);
        let required = |accepted: &&Accepted| !accepted.stray;
        let missed = channel
            .accepted
            .get(first..place)
            .unwrap_or_default()
            .iter()
            .find(required);
        if let Some(missed) = missed
            && ear.excused.is_none()
        {
            let missed = missed.clone();
            drop(truth);
            if world.is_registered(gateway) {
                world.violated("exactly_once_in_order", || {
                    format!("{} got {name} #{id} without {missed:?}", world.name(gateway))
                });
            }
        }
        ear.last = Some(place);
    }

    /// What each gateway still has not heard of a channel without a stream.
    pub(super) fn unheard(&self, world: &World) -> Option<String> {
        let truth = world.truth();
        self.0.iter().find_map(|((gateway, name), ear)| {
            let first = ear.last.map_or(0, |last| last + 1).max(ear.from);
            let accepted = &truth.channel(name).accepted;
            let missing = accepted.get(first..)?.iter().find(|accepted| !accepted.stray)?;
            Some(format!(
                "{} never got {missing:?} of {name}",
                world.name(*gateway)
            ))
        })
    }
}
