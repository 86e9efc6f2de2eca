//! The subscriptions to one channel.

use std::sync::Arc;

use super::{Membership, Subscriber};

/// A list of subscriptions. A clone is a snapshot, and costs nothing unless the list changes while it is in use.
#[derive(Debug)]
pub struct Members<S>(Arc<Vec<Arc<Membership<S>>>>);

impl<S> Clone for Members<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Default for Members<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S: Subscriber> Members<S> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Membership<S>>> {
        self.0.iter()
    }

    /// The one at this place of the list.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<Membership<S>>> {
        self.0.get(index)
    }

    /// Whether there are snapshots: then the next change copies the list.
    #[cfg(test)]
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Adds a subscription. Only under the channel's lock.
    pub fn insert(&mut self, membership: Arc<Membership<S>>) {
        let members = Arc::make_mut(&mut self.0);
        membership.set_slot(members.len());
        members.push(membership);
    }

    /// Takes a subscription out, in constant time. Only under the channel's lock. Whether it was there.
    pub fn remove(&mut self, membership: &Arc<Membership<S>>) -> bool {
        let slot = membership.slot();
        if !self
            .0
            .get(slot)
            .is_some_and(|found| Arc::ptr_eq(found, membership))
        {
            return false;
        }
        let members = Arc::make_mut(&mut self.0);
        members.swap_remove(slot);
        if let Some(moved) = members.get(slot) {
            moved.set_slot(slot);
        }
        // A channel that was large once should not stay so.
        if members.len() < members.capacity() / 4 {
            members.shrink_to(members.len() * 2);
        }
        true
    }
}
