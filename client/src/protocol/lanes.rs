//! Which subscription a number in pushes stands for, also while the answer that would say so is still under way.
//!
//! The server numbers subscriptions from 1 up, never twice in one connection. Pushes with a number may come on a stream of
//! their own, and so before the answer that names it, or after the end of their subscription. The first are kept, up to a
//! limit; the second are dropped.

use std::collections::{BTreeSet, HashMap, VecDeque};

use campanile_common::message::Push;

use super::output::SubscriptionId;

/// Whose pushes they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Client(SubscriptionId),
    Server(String),
}

/// What to do with a push.
#[derive(Debug, PartialEq)]
pub(crate) enum Fate {
    Deliver(Route, Push),
    /// It waits for its answer, or its subscription is over.
    Nothing,
    /// It would have to wait, and there is no room.
    Overflow,
}

/// Of one connection.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    routes: HashMap<u64, Route>,
    /// Answers under way that may name a number.
    expected: usize,
    /// Up to here every number was named, when last no answer was under way.
    settled: u64,
    /// The highest that was named.
    highest: u64,
    /// Those above `settled` that are over.
    over: BTreeSet<u64>,
    early: VecDeque<(u64, Push)>,
    early_bytes: usize,
}

impl Lanes {
    /// Bytes of pushes, as [`weight`] has it, that wait for the answers to their subscriptions. A recovery of all
    /// channels of a client is answered in one go, so that little comes before it.
    pub(crate) const EARLY_LIMIT: usize = 1 << 20;

    /// An answer that may name a number is under way.
    pub(crate) const fn expect(&mut self) {
        self.expected += 1;
    }

    /// An answer came, which named a number, or none. Says which pushes had come before it.
    pub(crate) fn answered(&mut self, id: i64, route: Option<Route>) -> Vec<Push> {
        let pushes = match (u64::try_from(id), route) {
            (Ok(id @ 1..), Some(route)) => self.open(id, route),
            (Ok(id @ 1..), None) => {
                self.end(id);
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.expected = self.expected.saturating_sub(1);
        if self.expected == 0 {
            self.settle();
        }
        pushes
    }

    /// The number stands for this subscription. Says which pushes had come before.
    pub(crate) fn open(&mut self, id: u64, route: Route) -> Vec<Push> {
        self.highest = self.highest.max(id);
        self.routes.insert(id, route);
        self.take_early(id)
    }

    /// The subscription of that number is over.
    pub(crate) fn end(&mut self, id: u64) {
        self.highest = self.highest.max(id);
        self.routes.remove(&id);
        self.over.insert(id);
        self.take_early(id);
        if self.expected == 0 {
            self.settle();
        }
    }

    /// The subscription that a number stands for, of a push in the order of replies.
    pub(crate) fn route(&self, id: i64) -> Option<&Route> {
        self.routes.get(&u64::try_from(id).ok()?)
    }

    /// A push came for this number.
    pub(crate) fn push(&mut self, id: u64, push: Push) -> Fate {
        if let Some(route) = self.routes.get(&id) {
            return Fate::Deliver(route.clone(), push);
        }
        if self.expected == 0 || id <= self.settled || self.over.contains(&id) {
            return Fate::Nothing;
        }
        self.early_bytes += weight(&push);
        if self.early_bytes > Self::EARLY_LIMIT {
            return Fate::Overflow;
        }
        self.early.push_back((id, push));
        Fate::Nothing
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.early.len()
    }

    /// No answer is under way: every number that was ever given is known, and what waits for others waits in vain.
    fn settle(&mut self) {
        self.settled = self.highest;
        self.over.clear();
        self.early.clear();
        self.early_bytes = 0;
    }

    fn take_early(&mut self, id: u64) -> Vec<Push> {
        let (mine, others) = std::mem::take(&mut self.early)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(early, _)| *early == id);
        self.early = others;
        self.early_bytes -= mine.iter().map(|(_, push)| weight(push)).sum::<usize>();
        mine.into_iter().map(|(_, push)| push).collect()
    }
}

/// About the bytes that a push holds on to.
fn weight(push: &Push) -> usize {
    let payload = push
        .publication
        .as_ref()
        .map_or(0, |publication| publication.data.len());
    payload + 256
}

#[cfg(test)]
mod tests;
