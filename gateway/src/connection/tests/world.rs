//! A gateway without a network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::{ChannelName, Codec};
use campanile_shard_router::publication::Publication;
use campanile_shard_router::router::Publish;
use tokio::io::{DuplexStream, duplex};

use super::client::Client;
use crate::auth::{TokenRequest, generate_token};
use crate::clock::Clock;
use crate::config::WebSocketOptions;
use crate::config::options::{
    AuthOptions, ChannelOptions, ClientOptions, HmacKeys, NamespaceOptions, SecretKey, TokenOptions,
};
use crate::connection::host::Host;
use crate::connection::{Connection, drive};
use crate::hub::Members;
use crate::session::SessionContext;
use crate::transport::TransportKind;
use crate::transport::websocket::WebSocket;

/// Everything allowed, streams kept.
pub(super) fn open_options() -> (ClientOptions, ChannelOptions) {
    let client = ClientOptions {
        insecure: true,
        rate_limit: None,
        ..ClientOptions::default()
    };
    let channels = ChannelOptions {
        without_namespace: NamespaceOptions {
            history_size: 1000,
            history_ttl: Duration::from_secs(60),
            force_positioning: true,
            ..NamespaceOptions::default()
        },
        ..ChannelOptions::default()
    };
    (client, channels)
}

pub(crate) async fn host_with(change: impl FnOnce(&mut ClientOptions, &mut ChannelOptions)) -> Arc<Host> {
    let (mut client, mut channels) = open_options();
    change(&mut client, &mut channels);
    let keys = HmacKeys {
        current: key(),
        previous: None,
    };
    let auth = AuthOptions {
        connection: TokenOptions {
            hmac: Some(keys),
            ..TokenOptions::default()
        },
        subscription: None,
    };
    Host::new(
        super::shards::router().await,
        SessionContext::new(client, channels, &auth),
        Clock::start(),
    )
}

pub(crate) async fn host() -> Arc<Host> {
    host_with(|_, _| ()).await
}

fn key() -> SecretKey {
    SecretKey::new(b"secret").unwrap()
}

/// A connection token that is believed.
pub(crate) fn token(user: &str) -> String {
    let request = TokenRequest {
        user,
        ..TokenRequest::default()
    };
    generate_token(&key(), &request)
}

/// Who is subscribed to `channel`.
pub(crate) fn members(host: &Host, channel: &str) -> Members<Connection> {
    let mut found = Members::default();
    host.router.visit_channels(
        |members, _| members.clone(),
        |name, members| {
            if name.as_str() == channel {
                found = members;
            }
        },
    );
    found
}

pub(super) fn websocket_options() -> WebSocketOptions {
    WebSocketOptions {
        path: "/connection/websocket".into(),
        message_size_limit: 65_536,
        write_timeout: Duration::from_secs(30),
    }
}

/// Connects a client through a pipe that holds `capacity` bytes in each direction.
pub(super) fn pipe(host: &Arc<Host>, capacity: usize) -> DuplexStream {
    let (near, far) = duplex(capacity);
    let transport = WebSocket::new(near, Bytes::new(), false, &websocket_options());
    let place = host.admission.admit(host.clock.now()).unwrap();
    let connection = Connection::open(Arc::clone(host), TransportKind::WebSocket, Codec::Json);
    tokio::spawn(drive(connection, transport, place));
    far
}

pub(super) async fn client(host: &Arc<Host>) -> Client<DuplexStream> {
    Client::connected(pipe(host, 65_536)).await
}

/// Publishes as the server API would, and gives the offset.
pub(crate) async fn publish(host: &Host, channel: &str, data: &str) -> u64 {
    let channel = ChannelName::from_trusted(channel);
    let rules = host.sessions.get();
    let options = rules.channels.resolve(&channel).unwrap();
    let outcome = host.router.publish(Publish {
        publication: Publication {
            offset: campanile_common::Offset::ZERO,
            data: Bytes::copy_from_slice(data.as_bytes()),
            info: None,
            tags: std::collections::BTreeMap::new(),
            time: host.clock.now(),
        },
        stream: options.stream(),
        idempotency: None,
        version: None,
        channel,
    });
    outcome.await.unwrap().position.unwrap().offset.get()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
