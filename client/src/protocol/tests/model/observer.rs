//! Watches what an application is told, and knows what it must not be told.

use std::collections::{HashMap, HashSet};

use campanile_common::{Epoch, Offset, Position};

use crate::protocol::{CallId, Output, SubscriptionId};
use crate::{ClientEvent, State, Subscribed, SubscriptionEvent, SubscriptionState};

#[derive(Default)]
pub(super) struct Observer {
    pub(super) state: State,
    pub(super) completed: HashSet<CallId>,
    subscriptions: HashMap<SubscriptionId, Watched>,
}

#[derive(Default)]
struct Watched {
    state: SubscriptionState,
    /// The last that was delivered, or else where the subscription began.
    position: Option<Position>,
    delivered: HashSet<(Epoch, Offset)>,
}

impl Observer {
    pub(super) fn see(&mut self, output: Output) {
        match output {
            Output::Client(event) => self.client(&event),
            Output::Subscription(id, event) => self.subscriptions.entry(id).or_default().see(event),
            Output::Complete(call, _) => assert!(self.completed.insert(call), "{call:?} ends twice"),
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn client(&mut self, event: &ClientEvent) {
        let next = match event {
            ClientEvent::Connecting(_) => State::Connecting,
            ClientEvent::Connected(_) => State::Connected,
            ClientEvent::Disconnected(_) => State::Disconnected,
            _ => return,
        };
        let legal = match next {
            State::Connecting => self.state != State::Connecting,
            State::Connected => self.state == State::Connecting,
            State::Disconnected => self.state != State::Disconnected,
        };
        assert!(legal, "from {:?} to {next:?}", self.state);
        self.state = next;
    }

    pub(super) fn subscription(&self, id: SubscriptionId) -> (SubscriptionState, Option<Position>) {
        let watched = &self.subscriptions[&id];
        (watched.state, watched.position.clone())
    }
}

impl Watched {
    fn see(&mut self, event: SubscriptionEvent) {
        match event {
            SubscriptionEvent::Subscribing(_) => {
                assert_ne!(self.state, SubscriptionState::Subscribing);
                self.state = SubscriptionState::Subscribing;
            }
            SubscriptionEvent::Unsubscribed(_) => {
                assert_ne!(self.state, SubscriptionState::Unsubscribed);
                self.state = SubscriptionState::Unsubscribed;
            }
            SubscriptionEvent::Subscribed(subscribed) => self.subscribed(&subscribed),
            SubscriptionEvent::Publication(publication) => {
                let offset = Offset(publication.offset.expect("all streams have offsets"));
                self.publication(offset);
            }
            _ => {}
        }
    }

    fn subscribed(&mut self, subscribed: &Subscribed) {
        assert_eq!(self.state, SubscriptionState::Subscribing);
        self.state = SubscriptionState::Subscribed;
        assert_eq!(
            subscribed.was_recovering,
            self.position.is_some(),
            "it recovers whenever it can"
        );
        // Where it was not recovered, what is missing was owned up to.
        if !subscribed.recovered {
            self.position.clone_from(&subscribed.position);
        }
    }

    fn publication(&mut self, offset: Offset) {
        assert_eq!(self.state, SubscriptionState::Subscribed, "{offset} out of turn");
        let position = self.position.as_mut().expect("it is subscribed");
        assert_eq!(offset, position.offset.next(), "a gap, or a step back");
        position.offset = offset;
        assert!(
            self.delivered.insert((position.epoch.clone(), offset)),
            "{offset} twice"
        );
    }
}
