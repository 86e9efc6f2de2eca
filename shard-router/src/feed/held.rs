//! What has arrived but may not be handed on before a gap is healed.

use std::collections::VecDeque;

use campanile_common::{Epoch, Offset, Position};

use super::window::weight;
use super::{FeedLimits, ReadNumber};
use crate::audience::Event;

/// Messages in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: VecDeque<Item>,
    bytes: usize,
}

#[derive(Debug)]
struct Item {
    /// Its place in the stream, if it has one.
    position: Option<Position>,
    event: Event,
    /// How many reads had begun when it arrived: a later read has seen its effect on the stream.
    reads_begun: ReadNumber,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn push(&mut self, position: Option<Position>, event: Event, reads_begun: ReadNumber) {
        self.bytes += cost(&event);
        self.items.push_back(Item {
            position,
            event,
            reads_begun,
        });
    }

    pub(super) fn fits(&self, limits: &FeedLimits) -> bool {
        self.items.len() <= limits.held_messages && self.bytes <= limits.held_bytes
    }

    /// The position of the oldest; outer `None`: nothing is held.
    pub(super) fn front(&self) -> Option<Option<&Position>> {
        self.items.front().map(|item| item.position.as_ref())
    }

    pub(super) fn pop(&mut self) -> Option<(Option<Position>, Event)> {
        let item = self.items.pop_front()?;
        self.bytes -= cost(&item.event);
        if self.items.is_empty() {
            // An idle channel keeps no buffer.
            self.items = VecDeque::new();
        }
        Some((item.position, item.event))
    }

    /// Drops what has a place in the stream and can be read from there; gives back the rest, in order.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Event> + use<> {
        let items = std::mem::take(self).items;
        items
            .into_iter()
            .filter(|item| item.position.is_none())
            .map(|item| item.event)
    }

    /// The lowest offset held of `epoch`.
    pub(super) fn first_of(&self, epoch: &Epoch) -> Option<Offset> {
        let positions = self.items.iter().filter_map(|item| item.position.as_ref());
        positions
            .filter(|position| position.epoch == *epoch)
            .map(|position| position.offset)
            .min()
    }

    /// Drops what arrived before read number `read` began and is nevertheless not in the stream that ends at
    /// `top`: it belongs to an incarnation, or a continuation, that no longer exists.
    pub(super) fn discard_stale(&mut self, read: ReadNumber, top: &Position) {
        let bytes = &mut self.bytes;
        self.items.retain(|item| {
            let Some(position) = &item.position else {
                return true;
            };
            let stale = position.epoch != top.epoch || position.offset > top.offset;
            if stale && item.reads_begun < read {
                *bytes -= cost(&item.event);
                return false;
            }
            true
        });
    }
}

fn cost(event: &Event) -> usize {
    match event {
        Event::Publication(publication) => weight(publication),
        Event::Join(info) | Event::Leave(info) => super::window::info_weight(info),
        Event::Lost(_) => 0,
    }
}
