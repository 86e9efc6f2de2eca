//! The machine against a model of a server, under whatever the network and the application can think of.

mod observer;
mod server;

use std::time::{Duration, Instant};

use campanile_common::message::PublishRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::rig::{EACH_SECOND, settings};
use crate::protocol::{Attempt, Machine, Output, SubscriptionId, SubscriptionSettings};
use crate::{Closed, OpenError, State, SubscriptionState, TransportKind};
use observer::Observer;
use server::{CHANNELS, Server, channel_name};

/// Something that happens. The number chooses among what it can happen to.
#[derive(Clone, Copy, Debug)]
enum Act {
    Connect,
    Disconnect,
    Subscribe(usize),
    Unsubscribe(usize),
    Request,
    /// The transport takes commands.
    Send,
    /// The transport that is being opened opens, or not.
    Dial(bool),
    /// The server takes a command.
    Serve(u8),
    /// Something that the server sent arrives.
    Arrive(u8),
    Publish(usize),
    /// The server ends a subscription.
    Evict(usize, u32),
    /// The stream is lost, and begins anew.
    Renew(usize),
    /// The connection ends.
    Close(u32),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Act> {
    let channel = || 0..CHANNELS;
    prop_oneof![
        2 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        4 => channel().prop_map(Act::Subscribe),
        2 => channel().prop_map(Act::Unsubscribe),
        3 => Just(Act::Request),
        12 => Just(Act::Send),
        6 => prop::bool::weighted(0.8).prop_map(Act::Dial),
        20 => any::<u8>().prop_map(Act::Serve),
        30 => any::<u8>().prop_map(Act::Arrive),
        12 => channel().prop_map(Act::Publish),
        1 => (channel(), prop::sample::select(vec![2000, 2500, 2502])).prop_map(|(channel, code)| Act::Evict(channel, code)),
        1 => channel().prop_map(Act::Renew),
        2 => prop::sample::select(vec![Closed::BROKEN, 3001, 3014, 4000]).prop_map(Act::Close),
        4 => (1_u64..7_000).prop_map(Act::Wait),
    ]
}

struct World {
    machine: Machine,
    now: Instant,
    subscriptions: Vec<SubscriptionId>,
    server: Server,
    observer: Observer,
    /// What the machine wants opened.
    dialing: Option<Attempt>,
    open: bool,
    requests: u64,
}

impl World {
    fn new() -> Self {
        let mut machine = Machine::new(settings(), 7);
        let add = |channel| {
            machine.add_subscription(SubscriptionSettings {
                resubscribe: EACH_SECOND,
                ..SubscriptionSettings::new(channel_name(channel))
            })
        };
        let subscriptions = (0..CHANNELS).map(add).collect::<Option<Vec<_>>>().unwrap();
        Self {
            machine,
            now: Instant::now(),
            subscriptions,
            server: Server::default(),
            observer: Observer::default(),
            dialing: None,
            open: false,
            requests: 0,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Connect => self.machine.connect(self.now),
            Act::Disconnect => self.machine.disconnect(self.now),
            Act::Subscribe(channel) => self.machine.subscribe(self.now, self.subscriptions[channel]),
            Act::Unsubscribe(channel) => self.machine.unsubscribe(self.now, self.subscriptions[channel]),
            Act::Request => {
                let timeout = Duration::from_secs(5);
                self.machine
                    .request(self.now, PublishRequest::default().into(), timeout);
                self.requests += 1;
            }
            Act::Send => self.send(),
            Act::Dial(succeeds) => self.dial(succeeds),
            Act::Serve(choice) => self.server.serve(choice),
            Act::Arrive(choice) => {
                if let Some(incoming) = self.server.arrive(choice) {
                    self.machine.received(self.now, incoming);
                }
            }
            Act::Publish(channel) => self.server.publish(channel),
            Act::Evict(channel, code) => self.server.evict(channel, code),
            Act::Renew(channel) => self.server.renew(channel),
            Act::Close(code) => {
                if std::mem::take(&mut self.open) {
                    self.machine.closed(self.now, &Closed::new(code, ""));
                }
            }
            Act::Wait(milliseconds) => self.wait(Duration::from_millis(milliseconds)),
        }
        self.settle();
    }

    fn send(&mut self) {
        while self.open
            && let Some(command) = self.machine.poll_command()
        {
            self.server.receive(command);
        }
    }

    fn dial(&mut self, succeeds: bool) {
        let Some(attempt) = self.dialing.take() else {
            return;
        };
        if succeeds {
            self.open = self.machine.opened(self.now, attempt, TransportKind::WebSocket);
        } else {
            self.machine.open_failed(self.now, attempt, OpenError::Timeout);
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn settle(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Dial { attempt, connect, .. } => {
                    self.dialing = Some(attempt);
                    self.server = self.server.connection(*connect);
                }
                Output::Close(_) => {
                    self.dialing = None;
                    self.open = false;
                }
                output => self.observer.see(output),
            }
        }
        assert_eq!(self.machine.state(), self.observer.state);
    }

    /// Nothing gets in the way any more: everything that is wished for must come to be.
    fn calm_down(&mut self) {
        self.server.calm = true;
        for _ in 0..30 {
            // What the server had sent before may still end it all.
            self.act(Act::Connect);
            for channel in 0..CHANNELS {
                self.act(Act::Subscribe(channel));
            }
            for _ in 0..40 {
                for act in [Act::Dial(true), Act::Send, Act::Serve(0), Act::Arrive(0)] {
                    self.act(act);
                }
            }
            self.act(Act::Wait(2_000));
        }
    }

    fn check_the_end(&self) {
        assert_eq!(self.machine.state(), State::Connected);
        for (channel, id) in self.subscriptions.iter().enumerate() {
            let (state, position) = self.observer.subscription(*id);
            assert_eq!(state, SubscriptionState::Subscribed);
            assert_eq!(
                position,
                Some(self.server.top(channel)),
                "all of {channel} was delivered"
            );
        }
        assert_eq!(
            self.observer.completed.len() as u64,
            self.requests,
            "each request ends"
        );
        assert_eq!(self.machine.next_timeout(), None, "nothing is waited for in vain");
        let early = self.machine.lanes_hold();
        assert_eq!(early, 0, "nothing is kept in vain");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// The observer checks each step: no duplicate, no gap without `recovered = false`, order, legal states, requests answered
    /// once.
    #[test]
    fn every_promise_is_kept(acts in vec(acts(), 1..400)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        world.calm_down();
        world.check_the_end();
    }
}
