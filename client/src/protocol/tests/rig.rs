//! A machine with its clock in hand, that says in words what it wants done.

use std::time::{Duration, Instant};

use campanile_common::message::{
    Answer, Command, ConnectRequest, ConnectResult, Error, Publication, Push, Reply, Request,
    SubscribeRequest, SubscribeResult, Unsubscribe,
};

use crate::protocol::{
    Attempt, CallResult, Delays, Machine, NoToken, Output, Settings, SubscriptionId, SubscriptionSettings,
    Ticket, TokenOwner,
};
use crate::transport::{Incoming, TransportKind};
use crate::{ClientEvent, Closed, OpenError, SubscriptionEvent};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// No jitter: what is waited is known.
pub(super) const EACH_SECOND: Delays = Delays {
    min: SECOND,
    max: SECOND,
};

pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    attempt: Attempt,
    ticket: Option<(TokenOwner, Ticket)>,
}

pub(super) fn settings() -> Settings {
    Settings {
        reconnect: EACH_SECOND,
        ..Default::default()
    }
}

pub(super) fn channel(name: &str) -> SubscriptionSettings {
    SubscriptionSettings {
        resubscribe: EACH_SECOND,
        ..SubscriptionSettings::new(name)
    }
}

impl Rig {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            machine: Machine::new(settings, 1),
            now: Instant::now(),
            attempt: Attempt::default(),
            ticket: None,
        }
    }

    /// One that is connected, to a server that says `result`.
    pub(super) fn connected(settings: Settings, result: ConnectResult) -> Self {
        let mut rig = Self::new(settings);
        rig.machine.connect(rig.now);
        rig.said();
        rig.opened();
        rig.reply(Reply::answer(1, result));
        rig
    }

    pub(super) fn add(&mut self, settings: SubscriptionSettings) -> SubscriptionId {
        self.machine.add_subscription(settings).unwrap()
    }

    pub(super) fn connect(&mut self) -> Vec<String> {
        self.machine.connect(self.now);
        self.said()
    }

    pub(super) fn disconnect(&mut self) -> Vec<String> {
        self.machine.disconnect(self.now);
        self.said()
    }

    pub(super) fn subscribe(&mut self, id: SubscriptionId) -> Vec<String> {
        self.machine.subscribe(self.now, id);
        self.said()
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) -> Vec<String> {
        self.machine.unsubscribe(self.now, id);
        self.said()
    }

    pub(super) fn request(&mut self, request: impl Into<Request>) -> Vec<String> {
        self.machine.request(self.now, request.into(), 5 * SECOND);
        self.said()
    }

    pub(super) fn opened(&mut self) -> Vec<String> {
        assert!(
            self.machine
                .opened(self.now, self.attempt, TransportKind::WebSocket)
        );
        self.said()
    }

    pub(super) fn open_failed(&mut self) -> Vec<String> {
        self.machine
            .open_failed(self.now, self.attempt, OpenError::Refused(503));
        self.said()
    }

    pub(super) fn closed(&mut self, code: u32) -> Vec<String> {
        self.machine.closed(self.now, &Closed::new(code, "told"));
        self.said()
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Vec<String> {
        self.machine.received(self.now, Incoming::Reply(reply));
        self.said()
    }

    pub(super) fn refused(&mut self, id: u32, code: u32, temporary: bool) -> Vec<String> {
        self.reply(Reply::error(
            id,
            Error {
                code,
                message: "no".into(),
                temporary,
            },
        ))
    }

    pub(super) fn push(&mut self, push: Push) -> Vec<String> {
        self.reply(Reply::push(push))
    }

    pub(super) fn lane(&mut self, id: u64, push: Push) -> Vec<String> {
        self.machine.received(self.now, Incoming::Lane { id, push });
        self.said()
    }

    pub(super) fn token(&mut self, answer: Result<&str, NoToken>) -> Vec<String> {
        let (owner, ticket) = self.ticket.take().expect("a token was asked for");
        self.machine
            .token(self.now, owner, ticket, answer.map(String::from));
        self.said()
    }

    /// Lets time pass, timer by timer.
    pub(super) fn wait(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        while let Some(at) = self.machine.next_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.machine.timeout(self.now);
        }
        self.now = end;
        self.said()
    }

    /// What the machine wants done, commands last.
    pub(super) fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match &output {
                Output::Dial { attempt, .. } => self.attempt = *attempt,
                Output::FetchToken(owner, ticket) => self.ticket = Some((*owner, *ticket)),
                _ => {}
            }
            said.push(words(&output));
        }
        if said.iter().all(|line| !line.starts_with("dial")) {
            while let Some(command) = self.machine.poll_command() {
                said.push(command_words(&command));
            }
        }
        while let Some(output) = self.machine.poll_output() {
            said.push(words(&output));
        }
        said
    }
}

fn words(output: &Output) -> String {
    match output {
        Output::Dial { connect, .. } => format!("dial {}", command_words(connect)),
        Output::Close(_) => "close".into(),
        Output::FetchToken(TokenOwner::Connection, _) => "fetch token".into(),
        Output::FetchToken(TokenOwner::Subscription(id), _) => format!("fetch token of {}", id.0),
        Output::Complete(call, result) => format!("call {}: {}", call.0, result_words(result)),
        Output::Client(event) => client_words(event),
        Output::Subscription(id, event) => format!("{}: {}", id.0, subscription_words(event)),
    }
}

fn result_words(result: &CallResult) -> String {
    match result {
        Ok(Some(Answer::History(history))) => format!("history to {}", history.offset),
        Ok(Some(_)) => "answered".into(),
        Ok(None) => "sent".into(),
        Err(error) => error.to_string(),
    }
}

fn client_words(event: &ClientEvent) -> String {
    match event {
        ClientEvent::Connecting(reason) => format!("connecting: {reason}"),
        ClientEvent::Connected(connected) => format!("connected {}", connected.client),
        ClientEvent::Disconnected(reason) => format!("disconnected: {reason}"),
        ClientEvent::Message(_) => "message".into(),
        ClientEvent::ServerSide { channel, event } => format!("{channel}: {}", subscription_words(event)),
        ClientEvent::Error(error) => error.to_string(),
        ClientEvent::Lagged(missed) => format!("lagged {missed}"),
    }
}

fn subscription_words(event: &SubscriptionEvent) -> String {
    match event {
        SubscriptionEvent::Subscribing(reason) => format!("subscribing: {reason}"),
        SubscriptionEvent::Subscribed(subscribed) => {
            match (subscribed.was_recovering, subscribed.recovered) {
                (false, _) => "subscribed".into(),
                (true, true) => "subscribed, recovered".into(),
                (true, false) => "subscribed, not recovered".into(),
            }
        }
        SubscriptionEvent::Unsubscribed(reason) => format!("unsubscribed: {reason}"),
        SubscriptionEvent::Publication(publication) => match publication.offset {
            Some(offset) => format!("publication {offset}"),
            None => "publication".into(),
        },
        SubscriptionEvent::Join(_) => "join".into(),
        SubscriptionEvent::Leave(_) => "leave".into(),
        SubscriptionEvent::Error(error) => error.to_string(),
        SubscriptionEvent::Lagged(lagged) => format!("lagged {}", lagged.missed),
    }
}

fn command_words(command: &Command) -> String {
    let (id, request) = command.clone().into_request().unwrap();
    match request {
        None => "pong".into(),
        Some(Request::Connect(request)) => format!("#{id} connect{}", connect_words(&request)),
        Some(Request::Subscribe(request)) => {
            format!("#{id} subscribe {}{}", request.channel, subscribe_words(&request))
        }
        Some(Request::Unsubscribe(request)) => format!("#{id} unsubscribe {}", request.channel),
        Some(Request::Refresh(request)) => format!("#{id} refresh {}", request.token),
        Some(Request::SubRefresh(request)) => {
            format!("#{id} sub_refresh {} {}", request.channel, request.token)
        }
        Some(other) => format!("#{id} {}", other.name()),
    }
}

fn connect_words(request: &ConnectRequest) -> String {
    let token = token_words(&request.token);
    let recover =
        |(channel, request): (&String, &SubscribeRequest)| format!(" {channel}{}", subscribe_words(request));
    token + &request.subs.iter().map(recover).collect::<String>()
}

fn subscribe_words(request: &SubscribeRequest) -> String {
    let token = token_words(&request.token);
    if request.recover {
        format!("{token} from {}:{}", request.epoch, request.offset)
    } else {
        token
    }
}

fn token_words(token: &str) -> String {
    if token.is_empty() {
        String::new()
    } else {
        format!(" with {token}")
    }
}

pub(super) fn publication(offset: u64) -> Publication {
    Publication {
        offset,
        ..Default::default()
    }
}

/// A publication in `channel`, or in whatever the push's lane says.
pub(super) fn published(channel: &str, offset: u64) -> Push {
    Push::publication(channel, publication(offset))
}

pub(super) fn unsubscribed(channel: &str, code: u32) -> Push {
    let unsubscribe = Unsubscribe {
        code,
        reason: "told".into(),
    };
    Push::unsubscribe(channel, unsubscribe)
}

/// A subscription to a stream.
pub(super) fn stream(epoch: &str, offset: u64) -> SubscribeResult {
    SubscribeResult {
        recoverable: true,
        epoch: epoch.into(),
        offset,
        ..Default::default()
    }
}

/// A recovery from `offset`, of what follows.
pub(super) fn recovered(epoch: &str, offset: u64, publications: &[u64]) -> SubscribeResult {
    SubscribeResult {
        was_recovering: true,
        recovered: true,
        publications: publications.iter().copied().map(publication).collect(),
        ..stream(epoch, offset)
    }
}

/// A server that is content with everything.
pub(super) fn welcome() -> ConnectResult {
    ConnectResult {
        client: "c".into(),
        ..Default::default()
    }
}

pub(super) fn failed() -> NoToken {
    NoToken::Failed(std::sync::Arc::new(std::io::Error::other("the backend is down")))
}
