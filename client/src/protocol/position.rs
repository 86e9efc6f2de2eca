//! What a subscription has seen of its stream, and so where it recovers from and what it has had already.

use campanile_common::message::{self, SubscribeResult};
use campanile_common::{Epoch, Offset, Position};

/// An epoch that no server gives to a stream: recovery from it fails, and the application is told so. The empty epoch
/// would not do, because to a server it means any.
const NO_EPOCH: &str = "_";

/// The position of one subscription, over all its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    seen: Option<Position>,
    recover: bool,
}

impl Tracker {
    /// Begins after `since`, or at the stream's end, wherever that will be.
    pub(crate) const fn new(since: Option<Position>) -> Self {
        Self {
            recover: since.is_some(),
            seen: since,
        }
    }

    /// The position to recover from, if the server can do that.
    pub(crate) fn recovers_from(&self) -> Option<&Position> {
        self.seen.as_ref().filter(|_| self.recover)
    }

    /// The last publication that was delivered.
    pub(crate) const fn seen(&self) -> Option<&Position> {
        self.seen.as_ref()
    }

    /// Takes in the answer to a subscribe, and leaves in it the publications to be delivered: those that were not
    /// delivered before.
    pub(crate) fn subscribed(&mut self, result: &mut SubscribeResult) {
        if !result.recoverable {
            // What the server does not recover is not asked for again, and offsets that nobody vouches for say nothing.
            *self = Self::default();
            return;
        }
        let epoch = Epoch::from(result.epoch.as_str());
        let floor = match &self.seen {
            Some(seen) if seen.epoch == epoch => seen.offset.get(),
            _ => 0,
        };
        let mut last = floor;
        result
            .publications
            .retain(|publication| publication.offset == 0 || raise(&mut last, publication.offset));
        // Some servers answer with the position before the publications, some with that after them.
        let top = if last > floor {
            result.offset.max(last)
        } else {
            result.offset
        };
        self.seen = Some(Position::new(epoch, Offset(top)));
        self.recover = true;
    }

    /// The server subscribed the client by itself, at that position.
    pub(crate) fn pushed(&mut self, subscribe: &message::Subscribe) {
        let position = Position::new(subscribe.epoch.as_str().into(), Offset(subscribe.offset));
        self.recover = subscribe.recoverable;
        self.seen = subscribe.recoverable.then_some(position);
    }

    /// Whether a publication is to be delivered: it is not if it was before.
    pub(crate) fn accept(&mut self, publication: &message::Publication) -> bool {
        let Some(seen) = &mut self.seen else {
            return true;
        };
        // The epoch of a stream that did not exist when the client subscribed comes with its first publication.
        if !publication.epoch.is_empty() && publication.epoch != seen.epoch.as_str() {
            *seen = Position::new(publication.epoch.as_str().into(), Offset::ZERO);
        }
        publication.offset == 0 || raise(&mut seen.offset.0, publication.offset)
    }

    /// What is known of the stream is no longer true: recovery from here on must fail, so that the application hears of it.
    pub(crate) fn invalidate(&mut self) {
        if let Some(seen) = &mut self.seen {
            *seen = Position::new(NO_EPOCH.into(), Offset::ZERO);
        }
    }
}

/// Whether `offset` is above `highest`, which it then replaces.
const fn raise(highest: &mut u64, offset: u64) -> bool {
    let higher = offset > *highest;
    if higher {
        *highest = offset;
    }
    higher
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(offset: u64) -> message::Publication {
        message::Publication {
            offset,
            ..Default::default()
        }
    }

    fn result(epoch: &str, offset: u64, publications: &[u64]) -> SubscribeResult {
        SubscribeResult {
            recoverable: true,
            epoch: epoch.into(),
            offset,
            publications: publications.iter().copied().map(publication).collect(),
            ..Default::default()
        }
    }

    fn seen(tracker: &Tracker) -> String {
        tracker
            .recovers_from()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Position before, answer, offsets that remain, position after.
    type Case = (
        Option<&'static str>,
        SubscribeResult,
        &'static [u64],
        &'static str,
    );

    #[test]
    fn answers_to_subscribe_move_the_position() {
        let cases: Vec<Case> = vec![
            (None, result("e", 7, &[]), &[], "e:7"),
            // The position of the client, and what follows it.
            (Some("e:7"), result("e", 7, &[8, 9]), &[8, 9], "e:9"),
            // The end of the stream, and what leads to it.
            (Some("e:7"), result("e", 9, &[8, 9]), &[8, 9], "e:9"),
            // What was delivered is not delivered again, whatever the server thinks.
            (Some("e:7"), result("e", 9, &[6, 7, 8, 8, 9]), &[8, 9], "e:9"),
            // Not recovered: the stream goes on elsewhere, or is another one.
            (Some("e:7"), result("e", 90, &[]), &[], "e:90"),
            (Some("e:7"), result("f", 3, &[]), &[], "f:3"),
            (Some("e:7"), result("f", 3, &[2, 3]), &[2, 3], "f:3"),
            // The stream was cut back. What comes now is new.
            (Some("e:7"), result("e", 2, &[]), &[], "e:2"),
        ];
        for (before, mut answer, delivered, after) in cases {
            let position = before.map(|text| {
                let (epoch, offset) = text.split_once(':').unwrap();
                Position::new(epoch.into(), Offset(offset.parse().unwrap()))
            });
            let mut tracker = Tracker::new(position);
            let said = format!("{before:?} {answer:?}");
            tracker.subscribed(&mut answer);
            let left: Vec<_> = answer
                .publications
                .iter()
                .map(|publication| publication.offset)
                .collect();
            assert_eq!(
                (left.as_slice(), seen(&tracker).as_str()),
                (delivered, after),
                "{said}"
            );
        }
    }

    #[test]
    fn what_the_server_cannot_recover_is_not_asked_for() {
        let mut tracker = Tracker::new(Some(Position::new("e".into(), Offset(4))));
        let mut answer = result("e", 4, &[]);
        answer.recoverable = false;
        tracker.subscribed(&mut answer);
        assert_eq!(tracker.recovers_from(), None);
        assert!(tracker.accept(&publication(3)) && tracker.accept(&publication(3)));
    }

    #[test]
    fn duplicates_are_not_accepted_and_an_epoch_can_come_late() {
        let mut tracker = Tracker::default();
        tracker.subscribed(&mut result("", 0, &[]));
        let first = message::Publication {
            epoch: "e".into(),
            ..publication(1)
        };
        assert!(tracker.accept(&first) && !tracker.accept(&first));
        assert!(tracker.accept(&publication(2)) && !tracker.accept(&publication(2)));
        assert!(!tracker.accept(&publication(1)));
        assert_eq!(seen(&tracker), "e:2");
    }

    #[test]
    fn after_invalidation_recovery_is_asked_for_and_cannot_succeed() {
        let mut tracker = Tracker::new(Some(Position::new("e".into(), Offset(4))));
        tracker.invalidate();
        assert_eq!(seen(&tracker), "_:0");
        let mut fresh = Tracker::default();
        fresh.invalidate();
        assert_eq!(fresh.recovers_from(), None, "it had no position");
    }
}
