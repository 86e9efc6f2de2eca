//! A session with a hand at each of its ends.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::{
    Command, ConnectRequest, ConnectResult, Error, Push, Reply, Request, SubscribeResult,
};
use campanile_common::{ChannelName, Epoch, ErrorCode, Offset, Position, Timestamp};
use campanile_shard_router::publication::Publication;

use crate::auth::{TokenRequest, generate_token};
use crate::config::options::{
    Allow, AuthOptions, ChannelOptions, ClientOptions, HmacKeys, NamespaceOptions, SecretKey, TokenOptions,
};
use crate::session::{
    Effect, Joined, Outcome, Output, Recovery, RequestId, Session, SessionContext, Start, SubscribeSpec,
};

pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(super) fn secret() -> SecretKey {
    SecretKey::new(b"secret").unwrap()
}

/// Rules under which tests run: tokens are HMAC, anonymous clients may come, and the namespaces are
///
/// - none: clients with a user may subscribe, publish and ask;
/// - `closed`: nobody may do anything;
/// - `stream`: as none, with a stream that recovers, presence and join/leave.
pub(super) struct Rules {
    pub(super) client: ClientOptions,
    pub(super) channels: ChannelOptions,
}

impl Default for Rules {
    fn default() -> Self {
        let clients = Allow {
            client: true,
            ..Allow::default()
        };
        let open = NamespaceOptions {
            allow_subscribe: clients,
            allow_publish: clients,
            allow_presence: clients,
            allow_history: clients,
            ..NamespaceOptions::default()
        };
        let stream = NamespaceOptions {
            presence: true,
            join_leave: true,
            force_recovery: true,
            history_size: 10,
            history_ttl: Duration::from_secs(60),
            ..open.clone()
        };
        let closed = NamespaceOptions {
            presence: true,
            ..NamespaceOptions::default()
        };
        Self {
            client: ClientOptions {
                allow_anonymous_connect_without_token: true,
                ..ClientOptions::default()
            },
            channels: ChannelOptions {
                without_namespace: open,
                namespaces: [("closed".into(), closed), ("stream".into(), stream)].into(),
                ..ChannelOptions::default()
            },
        }
    }
}

impl Rules {
    pub(super) fn namespace(&mut self, name: &str) -> &mut NamespaceOptions {
        self.channels.namespaces.get_mut(name).unwrap()
    }

    pub(super) fn context(self) -> Arc<SessionContext> {
        let hmac = Some(HmacKeys {
            current: secret(),
            previous: None,
        });
        let auth = AuthOptions {
            connection: TokenOptions {
                hmac,
                ..TokenOptions::default()
            },
            subscription: None,
        };
        Arc::new(SessionContext::new(self.client, self.channels, &auth))
    }
}

/// A connection token of `user`, valid for ten minutes.
pub(super) fn token(user: &str) -> String {
    token_until(user, None, START + Duration::from_secs(600))
}

pub(super) fn token_until(user: &str, channel: Option<&str>, expires_at: Timestamp) -> String {
    let request = TokenRequest {
        user,
        channel,
        issued_at: START,
        expires_at: Some(expires_at),
        ..TokenRequest::default()
    };
    generate_token(&secret(), &request)
}

/// A token with these claims.
pub(super) fn token_of(claims: &serde_json::Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret().expose());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

pub(super) struct Kit {
    pub(super) session: Session,
    pub(super) now: Timestamp,
}

impl Kit {
    pub(super) fn new(rules: Rules) -> Self {
        let start = Start {
            client: "client-1".into(),
            now: START,
            seed: 7,
        };
        Self {
            session: Session::new(rules.context(), start),
            now: START,
        }
    }

    /// Connected as user `anna`.
    pub(super) fn connected(rules: Rules) -> Self {
        let mut kit = Self::new(rules);
        kit.connect(ConnectRequest {
            token: token("anna"),
            ..ConnectRequest::default()
        });
        kit
    }

    /// Connects, with registration granted and no subscriptions by the server.
    pub(super) fn connect(&mut self, request: ConnectRequest) -> ConnectResult {
        self.send(1, request);
        self.register();
        match self.replies().as_slice() {
            [
                Reply {
                    connect: Some(result),
                    ..
                },
            ] => (**result).clone(),
            other => panic!("not connected: {other:?}"),
        }
    }

    /// Grants the registration that was asked for.
    pub(super) fn register(&mut self) {
        match self.outputs().as_slice() {
            [Output::Effect(Effect::Register { request, .. })] => {
                self.session
                    .handle_outcome(self.now, *request, Outcome::Registered(Ok(())));
            }
            other => panic!("no registration: {other:?}"),
        }
    }

    pub(super) fn send(&mut self, id: u32, request: impl Into<Request>) {
        self.session.handle_command(self.now, Command::new(id, request));
    }

    pub(super) fn outcome(&mut self, request: RequestId, outcome: Outcome) {
        self.session.handle_outcome(self.now, request, outcome);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.session.handle_timeout(self.now);
    }

    pub(super) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll()).collect()
    }

    /// All outputs, which must be replies.
    pub(super) fn replies(&mut self) -> Vec<Reply> {
        let reply = |output| match output {
            Output::Reply(reply) => reply,
            other => panic!("not a reply: {other:?}"),
        };
        self.outputs().into_iter().map(reply).collect()
    }

    /// The only output, which must be an error to command `id`.
    pub(super) fn error(&mut self, id: u32) -> Error {
        match self.replies().as_slice() {
            [
                Reply {
                    id: found,
                    error: Some(error),
                    ..
                },
            ] if *found == id => (**error).clone(),
            other => panic!("no error: {other:?}"),
        }
    }

    /// The only output, which must be an effect.
    pub(super) fn effect(&mut self) -> Effect {
        match self.outputs().as_slice() {
            [Output::Effect(effect)] => effect.clone(),
            other => panic!("not one effect: {other:?}"),
        }
    }

    /// The code of the closing that is the first output.
    pub(super) fn closed(&mut self) -> u32 {
        match self.outputs().first() {
            Some(Output::Close(disconnect)) => disconnect.code,
            other => panic!("not closed: {other:?}"),
        }
    }

    /// The only output, which must be a subscribe effect.
    pub(super) fn subscribing(&mut self) -> (RequestId, SubscribeSpec) {
        match self.effect() {
            Effect::Subscribe { request, spec, .. } => (request, *spec),
            other => panic!("not subscribing: {other:?}"),
        }
    }

    /// Subscribes to `channel`, and forgets what came out.
    pub(super) fn subscribed(&mut self, id: u32, channel: &str) -> Vec<Output> {
        self.send(id, subscribe(channel));
        let (request, spec) = self.subscribing();
        let joined = Joined {
            position: spec.stream.map(|_| position(5)),
            ..Joined::default()
        };
        self.outcome(request, Outcome::Subscribed(Ok(joined)));
        self.outputs()
    }
}

pub(super) fn subscribe(channel: &str) -> campanile_common::message::SubscribeRequest {
    campanile_common::message::SubscribeRequest {
        channel: channel.into(),
        ..Default::default()
    }
}

pub(super) fn position(offset: u64) -> Position {
    Position::new(Epoch::new("e1"), Offset(offset))
}

pub(super) fn publication(offset: u64) -> Arc<Publication> {
    Arc::new(Publication {
        offset: Offset(offset),
        data: format!("{{\"n\":{offset}}}").into(),
        info: None,
        tags: Default::default(),
        time: START,
    })
}

pub(super) fn recovered(publications: impl IntoIterator<Item = u64>, top: u64) -> Outcome {
    Outcome::Subscribed(Ok(Joined {
        position: Some(position(top)),
        publications: publications.into_iter().map(publication).collect(),
        recovery: Recovery::Recovered,
        lane: None,
    }))
}

pub(super) fn failed(code: ErrorCode) -> Outcome {
    Outcome::Subscribed(Err(code))
}

pub(super) fn channel(name: &str) -> ChannelName {
    ChannelName::from_trusted(name)
}

/// The subscribe result among outputs.
pub(super) fn subscribe_result(outputs: &[Output]) -> SubscribeResult {
    let result = |output: &Output| match output {
        Output::Reply(reply) => reply.subscribe.as_deref().cloned(),
        _ => None,
    };
    outputs.iter().find_map(result).expect("a subscribe result")
}

/// The push that is the only output.
pub(super) fn push(outputs: &[Output]) -> Push {
    match outputs {
        [Output::Reply(Reply { push: Some(push), .. })] => (**push).clone(),
        other => panic!("not one push: {other:?}"),
    }
}
