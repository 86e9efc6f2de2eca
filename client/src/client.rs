//! The client's handle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use campanile_common::Position;
use campanile_common::message::{
    Answer, ClientInfo, HistoryRequest, PresenceRequest, PresenceStatsRequest, PublishRequest, RPCRequest,
    Request, SendRequest,
};

use crate::builder::ClientBuilder;
use crate::events::{ClientEvents, Queue};
use crate::shared::Shared;
use crate::subscription::{Subscription, SubscriptionBuilder};
use crate::transport::Dial;
use crate::{DisconnectedError, History, PresenceStats, RequestError, State};

/// A client of one server: one connection, which is renewed as often as it takes.
///
/// A handle, cheap to clone. The client lives as long as a handle of any kind does: a `Client`, a [`Subscription`], a stream
/// of events. When the last is dropped, the connection is closed; to close it before, [`Client::disconnect`].
///
/// Requests are cancel safe in this sense: dropping the future of one does not take it back, and does no harm; whether it
/// was carried out is then not known.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Tells the driver when nobody is interested any more.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(|core, now| {
            core.leaving = true;
            core.machine.disconnect(now);
        });
    }
}

impl Client {
    /// A client of the server at `url`: `ws://host[:port][/path]`, `wss://host[:port][/path]` or `quic://host:port`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    /// A client whose connections `dialer` opens.
    pub fn with_dialer(dialer: impl Dial) -> ClientBuilder {
        ClientBuilder::with_dialer(dialer)
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            handle: Arc::new(Handle { shared }),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Begins to connect, unless the client is connected or does that already. From now on, a connection that is lost is
    /// replaced by another, until the server says that it does not want this client, or [`Client::disconnect`] is called.
    pub fn connect(&self) {
        self.shared().with(|core, now| core.connect(now));
    }

    /// Closes the connection, and opens no other. Subscriptions wait for the next [`Client::connect`].
    pub fn disconnect(&self) {
        self.shared().with(|core, now| core.machine.disconnect(now));
    }

    /// What is known of the connection at this moment.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().drive(|core, _| core.machine.state())
    }

    /// Waits until the client is connected. Fails as soon as it is disconnected, which it also is before
    /// [`Client::connect`]. Cancel safe.
    pub async fn ready(&self) -> Result<(), DisconnectedError> {
        let mut status = self.shared().drive(|core, _| core.status());
        match status.wait_for(|status| status.state != State::Connecting).await {
            Ok(status) if status.state == State::Connected => Ok(()),
            Ok(status) => Err(DisconnectedError(status.reason.clone())),
            Err(_) => unreachable!("the sender lives in what this handle keeps alive"),
        }
    }

    /// What happens to this client from now on. Take it before [`Client::connect`] to miss nothing.
    pub fn events(&self) -> ClientEvents {
        let queue = Queue::new(self.shared().event_buffer);
        self.shared().drive(|core, _| core.add_reader(&queue));
        ClientEvents::new(queue, self.clone())
    }

    /// Gives the client another token, for the next attempt to connect.
    pub fn set_token(&self, token: impl Into<String>) {
        let token = token.into();
        self.shared().with(|core, _| core.machine.set_token(token));
    }

    /// Gives the client something else to send along, with the next attempt to connect.
    pub fn set_data(&self, data: impl Into<Bytes>) {
        let data = data.into();
        self.shared().with(|core, _| core.machine.set_data(data));
    }

    /// A subscription to `channel`, to be configured and then [built](SubscriptionBuilder::build). One per channel.
    pub fn subscription(&self, channel: impl Into<String>) -> SubscriptionBuilder {
        SubscriptionBuilder::new(self.clone(), channel.into())
    }

    /// The subscription to `channel` that this client has.
    #[must_use]
    pub fn get_subscription(&self, channel: &str) -> Option<Subscription> {
        let handle = self.shared().drive(|core, _| core.subscription(channel));
        handle.map(Subscription::from_handle)
    }

    /// Publishes to a channel, subscribed or not. While the client is connecting, this waits for the connection.
    pub async fn publish(
        &self,
        channel: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Result<(), RequestError> {
        let request = PublishRequest {
            channel: channel.into(),
            data: data.into(),
            ..Default::default()
        };
        self.ask(request, |answer| match answer {
            Answer::Publish(_) => Some(()),
            _ => None,
        })
        .await
    }

    /// Calls a method of the application's server side.
    pub async fn rpc(
        &self,
        method: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Result<Bytes, RequestError> {
        let request = RPCRequest {
            method: method.into(),
            data: data.into(),
        };
        self.ask(request, |answer| match answer {
            Answer::RPC(result) => Some(result.data),
            _ => None,
        })
        .await
    }

    /// Sends the application's server side a message, which is not answered: it has been handed to the network when this
    /// returns.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<(), RequestError> {
        let request = SendRequest { data: data.into() };
        self.shared().call(request.into()).await.map(|_| ())
    }

    /// What was published in a channel.
    pub async fn history(
        &self,
        channel: impl Into<String>,
        query: HistoryQuery,
    ) -> Result<History, RequestError> {
        let request = HistoryRequest {
            channel: channel.into(),
            limit: query.limit,
            since: query.since.map(Into::into),
            reverse: query.reverse,
        };
        self.ask(request, |answer| match answer {
            Answer::History(result) => Some(History::from(result)),
            _ => None,
        })
        .await
    }

    /// Who is subscribed to a channel, by the names of their connections.
    pub async fn presence(
        &self,
        channel: impl Into<String>,
    ) -> Result<BTreeMap<String, ClientInfo>, RequestError> {
        let channel = channel.into();
        self.ask(PresenceRequest { channel }, |answer| match answer {
            Answer::Presence(result) => Some(result.presence),
            _ => None,
        })
        .await
    }

    /// How many are subscribed to a channel.
    pub async fn presence_stats(&self, channel: impl Into<String>) -> Result<PresenceStats, RequestError> {
        let channel = channel.into();
        self.ask(PresenceStatsRequest { channel }, |answer| match answer {
            Answer::PresenceStats(result) => Some(PresenceStats {
                clients: result.num_clients,
                users: result.num_users,
            }),
            _ => None,
        })
        .await
    }

    async fn ask<T>(
        &self,
        request: impl Into<Request>,
        field: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, RequestError> {
        let answer = self.shared().call(request.into()).await?;
        answer.and_then(field).ok_or(RequestError::Unexpected)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Which publications of a channel's stream are asked for. The default is none: only the stream's position.
///
/// ```
/// # use campanile_client::HistoryQuery;
/// let last_ten = HistoryQuery::new().limit(10).reverse();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct HistoryQuery {
    limit: i32,
    since: Option<Position>,
    reverse: bool,
}

impl HistoryQuery {
    /// None: only the position.
    pub fn new() -> Self {
        Self::default()
    }

    /// This many at most.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self
    }

    /// As many as the server gives.
    pub fn all(mut self) -> Self {
        self.limit = -1;
        self
    }

    /// Those after `position`; those before it with [`HistoryQuery::reverse`].
    pub fn since(mut self, position: Position) -> Self {
        self.since = Some(position);
        self
    }

    /// The newest first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }
}

#[cfg(test)]
mod tests;
