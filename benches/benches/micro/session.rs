//! What commands cost in a session, and the tokens that some of them bring. Its effects are answered by hand.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use campanile_benches::sample::{CHANNEL, publication, stored_publication};
use campanile_common::message::{
    Command, ConnectRequest, PingRequest, PublishRequest, Request, SubscribeRequest, UnsubscribeRequest,
};
use campanile_common::{Epoch, Offset, Position, Timestamp};
use campanile_gateway::auth::{Authenticator, TokenRequest, generate_token};
use campanile_gateway::config::options::{
    Allow, AuthOptions, ChannelOptions, ClientOptions, HmacKeys, NamespaceOptions, SecretKey, TokenOptions,
};
use campanile_gateway::session::{Effect, Joined, Outcome, Output, Recovery, Session, SessionContext, Start};

use crate::operation::Operation;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::new("session/connect", || {
            let (context, token) = (context(), token(None));
            move || drop(black_box(Driver::connected(&context, &token)))
        }),
        Operation::new("session/subscribe_and_unsubscribe", || {
            let mut driver = Driver::ready();
            move || {
                driver.command(subscribe(false));
                driver.command(unsubscribe());
            }
        }),
        Operation::new("session/recover_10_and_unsubscribe", || {
            let mut driver = Driver::ready();
            move || {
                driver.command(subscribe(true));
                driver.command(unsubscribe());
            }
        }),
        Operation::new("session/publish", || {
            let mut driver = Driver::ready();
            let data = publication().data;
            move || {
                driver.command(PublishRequest {
                    channel: CHANNEL.into(),
                    data: data.clone(),
                    ..PublishRequest::default()
                });
            }
        }),
        Operation::new("session/ping", || {
            let mut driver = Driver::ready();
            move || driver.command(PingRequest {})
        }),
        Operation::new("token/connection", || {
            let (authenticator, token) = (Authenticator::new(&auth()), token(None));
            move || drop(black_box(authenticator.connection(black_box(&token), START)))
        }),
        Operation::new("token/subscription", || {
            let (authenticator, token) = (Authenticator::new(&auth()), token(Some(CHANNEL)));
            move || drop(black_box(authenticator.subscription(black_box(&token), START)))
        }),
    ]
}

/// A session, and what answers it.
struct Driver {
    session: Session,
    now: Timestamp,
    recovered: Joined,
}

impl Driver {
    /// Connected, under the rules of this file.
    fn ready() -> Self {
        let mut driver = Self::connected(&context(), &token(None));
        driver.recovered = Joined {
            position: Some(Position::new(Epoch::new("fh3k"), Offset(123_456))),
            publications: (0..10).map(|_| Arc::new(stored_publication())).collect(),
            recovery: Recovery::Recovered,
            lane: None,
        };
        driver
    }

    fn connected(context: &Arc<SessionContext>, token: &str) -> Self {
        let start = Start {
            client: "7bd0e6cf-2f4c-4a41-b4a8-d9e1f2f8a3c5".into(),
            now: START,
            seed: 7,
        };
        let mut driver = Self {
            session: Session::new(Arc::clone(context), start),
            now: START,
            recovered: Joined::default(),
        };
        driver.command(ConnectRequest {
            token: token.into(),
            ..ConnectRequest::default()
        });
        driver
    }

    fn command(&mut self, request: impl Into<Request>) {
        // A rate of commands that no limit minds.
        self.now = self.now + Duration::from_millis(10);
        self.session.handle_command(self.now, Command::new(1, request));
        while let Some(output) = self.session.poll() {
            match output {
                Output::Effect(effect) => self.carry_out(&effect),
                Output::Close(disconnect) => panic!("the session closed: {disconnect:?}"),
                other => drop(black_box(other)),
            }
        }
    }

    fn carry_out(&mut self, effect: &Effect) {
        let (request, outcome) = match effect {
            Effect::Register { request, .. } => (*request, Outcome::Registered(Ok(()))),
            Effect::Publish { request, .. } => (*request, Outcome::Published(Ok(()))),
            Effect::Subscribe { request, spec, .. } => {
                let joined = match spec.recover {
                    Some(_) => self.recovered.clone(),
                    None => Joined {
                        position: self.recovered.position.clone(),
                        ..Joined::default()
                    },
                };
                (*request, Outcome::Subscribed(Ok(joined)))
            }
            _ => return,
        };
        self.session.handle_outcome(self.now, request, outcome);
    }
}

fn subscribe(recover: bool) -> SubscribeRequest {
    SubscribeRequest {
        channel: CHANNEL.into(),
        recover,
        epoch: "fh3k".into(),
        offset: 123_446,
        ..SubscribeRequest::default()
    }
}

fn unsubscribe() -> UnsubscribeRequest {
    UnsubscribeRequest {
        channel: CHANNEL.into(),
    }
}

/// Anybody may do anything in channels with a stream.
fn context() -> Arc<SessionContext> {
    let anybody = Allow {
        client: true,
        ..Allow::default()
    };
    let chat = NamespaceOptions {
        allow_subscribe: anybody,
        allow_publish: anybody,
        force_recovery: true,
        history_size: 100,
        history_ttl: Duration::from_secs(300),
        ..NamespaceOptions::default()
    };
    let channels = ChannelOptions {
        namespaces: [("chat".into(), chat)].into(),
        ..ChannelOptions::default()
    };
    Arc::new(SessionContext::new(ClientOptions::default(), channels, &auth()))
}

fn secret() -> SecretKey {
    SecretKey::new(b"a secret of 16 bytes or more").expect("the key has bytes")
}

fn auth() -> AuthOptions {
    let hmac = HmacKeys {
        current: secret(),
        previous: None,
    };
    AuthOptions {
        connection: TokenOptions {
            hmac: Some(hmac),
            ..TokenOptions::default()
        },
        subscription: None,
    }
}

fn token(channel: Option<&str>) -> String {
    let request = TokenRequest {
        user: "42",
        channel,
        issued_at: START,
        expires_at: Some(START + Duration::from_secs(3600)),
        ..TokenRequest::default()
    };
    generate_token(&secret(), &request)
}
