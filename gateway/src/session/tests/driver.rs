//! A driver that keeps an account: what it was told to do, and whether the session keeps its promises.

use std::collections::{BTreeMap, BTreeSet};

use campanile_common::ErrorCode;
use campanile_common::message::Reply;
use campanile_shard_router::shard::HistoryPage;

use super::kit::{Kit, position};
use crate::session::{Effect, Joined, Outcome, Output, Recovery, RequestId};

/// What an effect wants to hear.
#[derive(Clone, Debug)]
enum Wanted {
    Registered,
    Subscribed(String),
    Published,
    Presence,
    History,
}

#[derive(Default)]
pub(super) struct Account {
    /// Commands that are not answered yet.
    unanswered: BTreeSet<u32>,
    wanted: Vec<(RequestId, Wanted)>,
    /// Channels that are subscribed, as far as the router knows.
    live: BTreeSet<String>,
    joining: BTreeSet<String>,
    /// Who was announced and has not left.
    announced: BTreeMap<String, u32>,
    connected: bool,
    pub(super) closed: bool,
}

impl Account {
    pub(super) fn asked(&mut self, id: u32) {
        if id != 0 {
            self.unanswered.insert(id);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.wanted.len()
    }

    /// Carries out what the session wants.
    pub(super) fn settle(&mut self, kit: &mut Kit) {
        for output in kit.outputs() {
            match output {
                Output::Reply(reply) => self.reply(&reply),
                Output::Ping => assert!(self.connected && !self.closed),
                Output::Close(_) => {
                    assert!(!self.closed, "closed twice");
                    self.closed = true;
                }
                Output::Effect(effect) => self.begin(effect),
            }
        }
        self.check(kit);
    }

    fn reply(&mut self, reply: &Reply) {
        assert!(!self.closed, "said something after the end: {reply:?}");
        if reply.id == 0 {
            assert!(self.connected, "pushed before the connect answer: {reply:?}");
        } else {
            assert!(self.unanswered.remove(&reply.id), "answered twice: {reply:?}");
        }
        self.connected |= reply.connect.is_some();
    }

    fn begin(&mut self, effect: Effect) {
        let (request, wanted) = match effect {
            Effect::Register { request, .. } => (request, Wanted::Registered),
            Effect::Publish { request, .. } => (request, Wanted::Published),
            Effect::Presence { request, .. } => (request, Wanted::Presence),
            Effect::History { request, .. } => (request, Wanted::History),
            Effect::Subscribe { request, channel, .. } => {
                assert!(
                    !self.live.contains(channel.as_str()),
                    "subscribed twice: {channel}"
                );
                assert!(
                    self.joining.insert(channel.to_string()),
                    "subscribed twice at once: {channel}"
                );
                (request, Wanted::Subscribed(channel.to_string()))
            }
            Effect::Unsubscribe { channel, leave, .. } => {
                assert!(
                    self.live.remove(channel.as_str()),
                    "ended what was not: {channel}"
                );
                assert_eq!(self.announced.remove(channel.as_str()).is_some(), leave.is_some());
                return;
            }
            Effect::Announce { channel, .. } => {
                assert!(self.live.contains(channel.as_str()));
                assert_eq!(self.announced.insert(channel.to_string(), 1), None);
                return;
            }
            Effect::Enter { channel, .. } => return assert!(self.live.contains(channel.as_str())),
        };
        self.wanted.push((request, wanted));
    }

    /// Answers one of the waiting effects.
    pub(super) fn answer(&mut self, kit: &mut Kit, which: usize, good: bool) {
        if self.wanted.is_empty() {
            return;
        }
        let (request, wanted) = self.wanted.swap_remove(which % self.wanted.len());
        let error = ErrorCode::Internal;
        let outcome = match wanted {
            Wanted::Registered => Outcome::Registered(Ok(())),
            Wanted::Published => Outcome::Published(good.then_some(()).ok_or(error)),
            Wanted::Presence => Outcome::Presence(good.then(BTreeMap::new).ok_or(error)),
            Wanted::History => {
                let page = HistoryPage {
                    position: position(1),
                    publications: Vec::new(),
                };
                Outcome::History(good.then_some(page).ok_or(error))
            }
            Wanted::Subscribed(channel) => {
                self.joining.remove(&channel);
                let joined = Joined {
                    position: Some(position(5)),
                    publications: Vec::new(),
                    recovery: if which.is_multiple_of(2) {
                        Recovery::Recovered
                    } else {
                        Recovery::NotAsked
                    },
                    lane: None,
                };
                if good {
                    self.live.insert(channel);
                }
                Outcome::Subscribed(good.then_some(joined).ok_or(error))
            }
        };
        kit.outcome(request, outcome);
        self.settle(kit);
    }

    fn check(&self, kit: &Kit) {
        let (session, limits) = (&kit.session, &kit.session.context.client);
        assert_eq!(session.outputs.capacity(), 0, "buffers are let go");
        assert!(session.subscriptions.len() <= limits.channel_limit);
        assert!(session.pending.commands() <= limits.in_flight_limit);
        assert!(self.wanted.len() <= limits.in_flight_limit + limits.channel_limit + 1);
        if session.is_closed() {
            assert_eq!(session.next_timeout(), None);
        }
    }

    /// The end: everything is answered, then nothing may be left.
    pub(super) fn finish(&mut self, kit: &mut Kit, good: bool) {
        if !kit.session.is_closed() {
            while self.waiting() > 0 {
                self.answer(kit, 0, good);
            }
            assert!(
                self.closed || self.unanswered.is_empty(),
                "never answered: {:?}",
                self.unanswered
            );
        }
        kit.session.handle_closed();
        self.closed = true;
        self.settle(kit);
        while self.waiting() > 0 {
            self.answer(kit, 0, good);
        }
        assert!(self.live.is_empty(), "not undone: {:?}", self.live);
        assert!(self.announced.is_empty(), "never left: {:?}", self.announced);
    }
}
