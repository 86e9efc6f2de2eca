//! The handle of a subscription.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::Position;
use campanile_common::message::ClientInfo;
use tokio::sync::watch;

use crate::events::{Queue, SubscriptionEvents};
use crate::protocol::{Delays, SubscriptionId, SubscriptionSettings};
use crate::shared::Status;
use crate::token::{self, TokenSource};
use crate::{
    Client, DuplicateSubscription, History, HistoryQuery, PresenceStats, RequestError, SubscriptionState,
    TokenError, UnsubscribedError,
};

/// A subscription to one channel, over all connections of its client.
///
/// A handle, cheap to clone. The subscription lives as long as a handle or a stream of its events does. When the last is
/// dropped, it is unsubscribed and forgotten, position and all; [`Subscription::unsubscribe`] ends it but keeps its position,
/// so that subscribing again recovers what was missed.
#[derive(Clone)]
#[must_use = "a subscription ends when its last handle is dropped"]
pub struct Subscription {
    handle: Arc<SubscriptionHandle>,
}

/// What the handles of a subscription share.
pub(crate) struct SubscriptionHandle {
    client: Client,
    id: SubscriptionId,
    channel: String,
    status: watch::Receiver<Status<SubscriptionState>>,
}

impl Drop for SubscriptionHandle {
    fn drop(&mut self) {
        let id = self.id;
        self.client
            .shared()
            .with(|core, now| core.remove_subscription(now, id));
    }
}

impl Subscription {
    pub(crate) const fn from_handle(handle: Arc<SubscriptionHandle>) -> Self {
        Self { handle }
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.handle.channel
    }

    /// The client that it belongs to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.handle.client
    }

    /// Begins to subscribe, unless it is subscribed or does that already. From now on it is renewed with each connection,
    /// until the server says that it does not allow it, or [`Subscription::unsubscribe`] is called.
    pub fn subscribe(&self) {
        let id = self.handle.id;
        self.client().shared().with(|core, now| core.subscribe(now, id));
    }

    /// Ends the subscription. Its position is kept for the next [`Subscription::subscribe`].
    pub fn unsubscribe(&self) {
        let id = self.handle.id;
        self.client()
            .shared()
            .with(|core, now| core.machine.unsubscribe(now, id));
    }

    /// What is known of it at this moment.
    #[must_use]
    pub fn state(&self) -> SubscriptionState {
        self.handle.status.borrow().state
    }

    /// Waits until it is subscribed. Fails as soon as it is unsubscribed, which it also is before
    /// [`Subscription::subscribe`]. Cancel safe.
    pub async fn ready(&self) -> Result<(), UnsubscribedError> {
        let mut status = self.handle.status.clone();
        match status
            .wait_for(|status| status.state != SubscriptionState::Subscribing)
            .await
        {
            Ok(status) if status.state == SubscriptionState::Subscribed => Ok(()),
            Ok(status) => Err(UnsubscribedError(status.reason.clone())),
            Err(_) => unreachable!("the sender lives as long as this handle"),
        }
    }

    /// What happens to it from now on. Take it before [`Subscription::subscribe`] to miss nothing.
    pub fn events(&self) -> SubscriptionEvents {
        let queue = Queue::new(self.client().shared().event_buffer);
        let id = self.handle.id;
        self.client()
            .shared()
            .drive(|core, _| core.add_subscription_reader(id, &queue));
        SubscriptionEvents::new(queue, self.clone())
    }

    /// Publishes to the channel, once subscribed.
    pub async fn publish(&self, data: impl Into<Bytes>) -> Result<(), RequestError> {
        self.subscribed().await?;
        self.client().publish(self.channel(), data).await
    }

    /// What was published in the channel, once subscribed.
    pub async fn history(&self, query: HistoryQuery) -> Result<History, RequestError> {
        self.subscribed().await?;
        self.client().history(self.channel(), query).await
    }

    /// Who is subscribed to the channel, once subscribed, by the names of their connections.
    pub async fn presence(&self) -> Result<BTreeMap<String, ClientInfo>, RequestError> {
        self.subscribed().await?;
        self.client().presence(self.channel()).await
    }

    /// How many are subscribed to the channel, once subscribed.
    pub async fn presence_stats(&self) -> Result<PresenceStats, RequestError> {
        self.subscribed().await?;
        self.client().presence_stats(self.channel()).await
    }

    /// [`Subscription::ready`], as part of a request.
    async fn subscribed(&self) -> Result<(), RequestError> {
        match tokio::time::timeout(self.client().shared().timeout, self.ready()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(UnsubscribedError(reason))) => Err(RequestError::Unsubscribed(reason)),
            Err(_) => Err(RequestError::Timeout),
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channel", &self.channel())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Makes a [`Subscription`].
#[must_use = "nothing happens before `build`"]
pub struct SubscriptionBuilder {
    client: Client,
    settings: SubscriptionSettings,
    token_source: Option<TokenSource>,
}

impl SubscriptionBuilder {
    pub(crate) fn new(client: Client, channel: String) -> Self {
        Self {
            client,
            settings: SubscriptionSettings::new(channel),
            token_source: None,
        }
    }

    /// The first token of the subscription.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = token.into();
        self
    }

    /// Where tokens of the subscription come from: asked when there is none, and when one expires.
    pub fn token_source<F, T>(mut self, fetch: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.settings.has_token_source = true;
        self.token_source = Some(token::source(fetch));
        self
    }

    /// Something for the application's server side, sent along with each subscribe.
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.settings.data = data.into();
        self
    }

    /// Begins after this position: what was published since then is recovered, if the server can.
    pub fn since(mut self, position: Position) -> Self {
        self.settings.since = Some(position);
        self
    }

    /// Asks the server to watch that nothing gets lost. The server may do so anyway.
    pub fn positioned(mut self) -> Self {
        self.settings.positioned = true;
        self
    }

    /// Asks the server for recovery. The server may offer it anyway.
    pub fn recoverable(mut self) -> Self {
        self.settings.recoverable = true;
        self
    }

    /// Asks the server for joins and leaves.
    pub fn join_leave(mut self) -> Self {
        self.settings.join_leave = true;
        self
    }

    /// The shortest and the longest wait between attempts to subscribe, unless it is the connection that is missing.
    /// Default: 500 ms and 20 s.
    pub fn resubscribe_delay(mut self, min: Duration, max: Duration) -> Self {
        self.settings.resubscribe = Delays { min, max };
        self
    }

    /// The subscription, not yet [subscribed](Subscription::subscribe).
    pub fn build(self) -> Result<Subscription, DuplicateSubscription> {
        let Self {
            client,
            settings,
            token_source,
        } = self;
        let channel = settings.channel.clone();
        let owner = client.clone();
        let handle = client.shared().with(|core, _| {
            core.add_subscription(settings, token_source, |id, status| {
                Arc::new(SubscriptionHandle {
                    client: owner,
                    id,
                    channel: channel.clone(),
                    status,
                })
            })
        });
        match handle {
            Some(handle) => Ok(Subscription { handle }),
            None => Err(DuplicateSubscription { channel }),
        }
    }
}

impl fmt::Debug for SubscriptionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionBuilder")
            .field("channel", &self.settings.channel)
            .finish_non_exhaustive()
    }
}
