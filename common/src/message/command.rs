//! What a client sends.

use super::define::messages;
use super::{
    ConnectRequest, HistoryRequest, PingRequest, PresenceRequest, PresenceStatsRequest, PublishRequest,
    RPCRequest, RefreshRequest, SendRequest, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};

messages! {
    /// One command. It carries one request, or nothing at all: then it answers a ping of the server.
    ///
    /// Larger requests are boxed so that a command stays small while it waits.
    pub struct Command {
        /// The number that the reply will carry; 0 if none is wanted.
        #[prost(uint32, tag = "1")]
        pub id: u32,
        /// Opens the connection.
        #[prost(message, optional, boxed, tag = "4")]
        pub connect: Option<Box<ConnectRequest>>,
        /// Subscribes to a channel.
        #[prost(message, optional, boxed, tag = "5")]
        pub subscribe: Option<Box<SubscribeRequest>>,
        /// Ends a subscription.
        #[prost(message, optional, tag = "6")]
        pub unsubscribe: Option<UnsubscribeRequest>,
        /// Publishes to a channel.
        #[prost(message, optional, boxed, tag = "7")]
        pub publish: Option<Box<PublishRequest>>,
        /// Asks who is subscribed.
        #[prost(message, optional, tag = "8")]
        pub presence: Option<PresenceRequest>,
        /// Asks how many are subscribed.
        #[prost(message, optional, tag = "9")]
        pub presence_stats: Option<PresenceStatsRequest>,
        /// Asks what was published.
        #[prost(message, optional, boxed, tag = "10")]
        pub history: Option<Box<HistoryRequest>>,
        /// Asks whether the server is there.
        #[prost(message, optional, tag = "11")]
        pub ping: Option<PingRequest>,
        /// Sends the application a message.
        #[prost(message, optional, tag = "12")]
        pub send: Option<SendRequest>,
        /// Calls the application.
        #[prost(message, optional, boxed, tag = "13")]
        pub rpc: Option<Box<RPCRequest>>,
        /// Renews the connection's token.
        #[prost(message, optional, tag = "14")]
        pub refresh: Option<RefreshRequest>,
        /// Renews a subscription's token.
        #[prost(message, optional, boxed, tag = "15")]
        pub sub_refresh: Option<Box<SubRefreshRequest>>,
    }
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Opens the connection.
    Connect(ConnectRequest),
    /// Subscribes to a channel.
    Subscribe(SubscribeRequest),
    /// Ends a subscription.
    Unsubscribe(UnsubscribeRequest),
    /// Publishes to a channel.
    Publish(PublishRequest),
    /// Asks who is subscribed.
    Presence(PresenceRequest),
    /// Asks how many are subscribed.
    PresenceStats(PresenceStatsRequest),
    /// Asks what was published.
    History(HistoryRequest),
    /// Asks whether the server is there.
    Ping(PingRequest),
    /// Sends the application a message.
    Send(SendRequest),
    /// Calls the application.
    RPC(RPCRequest),
    /// Renews the connection's token.
    Refresh(RefreshRequest),
    /// Renews a subscription's token.
    SubRefresh(SubRefreshRequest),
}

/// A command carried more than one request. Which of them was meant cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {id} carries more than one request")]
pub struct TwoRequests {
    /// The command's number.
    pub id: u32,
}

/// The request of a command while its fields are gone through.
#[derive(Default)]
struct OneRequest {
    found: Option<Request>,
    more: bool,
}

impl OneRequest {
    fn take<T>(&mut self, field: Option<T>, request: impl FnOnce(T) -> Request) {
        if let Some(field) = field {
            self.more |= self.found.is_some();
            self.found = Some(request(field));
        }
    }
}

impl Command {
    /// The command that asks for `request`.
    pub fn new(id: u32, request: impl Into<Request>) -> Self {
        let mut command = Self {
            id,
            ..Self::default()
        };
        match request.into() {
            Request::Connect(request) => command.connect = Some(Box::new(request)),
            Request::Subscribe(request) => command.subscribe = Some(Box::new(request)),
            Request::Unsubscribe(request) => command.unsubscribe = Some(request),
            Request::Publish(request) => command.publish = Some(Box::new(request)),
            Request::Presence(request) => command.presence = Some(request),
            Request::PresenceStats(request) => command.presence_stats = Some(request),
            Request::History(request) => command.history = Some(Box::new(request)),
            Request::Ping(request) => command.ping = Some(request),
            Request::Send(request) => command.send = Some(request),
            Request::RPC(request) => command.rpc = Some(Box::new(request)),
            Request::Refresh(request) => command.refresh = Some(request),
            Request::SubRefresh(request) => command.sub_refresh = Some(Box::new(request)),
        }
        command
    }

    /// Whether this answers a ping of the server: an empty command.
    #[must_use]
    pub fn is_pong(&self) -> bool {
        *self == Self::default()
    }

    /// The command's number and what it asks for.
    pub fn into_request(self) -> Result<(u32, Option<Request>), TwoRequests> {
        let mut request = OneRequest::default();
        request.take(self.connect, |boxed| Request::Connect(*boxed));
        request.take(self.subscribe, |boxed| Request::Subscribe(*boxed));
        request.take(self.unsubscribe, Request::Unsubscribe);
        request.take(self.publish, |boxed| Request::Publish(*boxed));
        request.take(self.presence, Request::Presence);
        request.take(self.presence_stats, Request::PresenceStats);
        request.take(self.history, |boxed| Request::History(*boxed));
        request.take(self.ping, Request::Ping);
        request.take(self.send, Request::Send);
        request.take(self.rpc, |boxed| Request::RPC(*boxed));
        request.take(self.refresh, Request::Refresh);
        request.take(self.sub_refresh, |boxed| Request::SubRefresh(*boxed));
        if request.more {
            Err(TwoRequests { id: self.id })
        } else {
            Ok((self.id, request.found))
        }
    }
}

impl Request {
    /// The name of the request on the wire; also the value of a metric's label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Presence(_) => "presence",
            Self::PresenceStats(_) => "presence_stats",
            Self::History(_) => "history",
            Self::Ping(_) => "ping",
            Self::Send(_) => "send",
            Self::RPC(_) => "rpc",
            Self::Refresh(_) => "refresh",
            Self::SubRefresh(_) => "sub_refresh",
        }
    }
}

macro_rules! request_from {
    ($($variant:ident($request:ty),)*) => { $(
        impl From<$request> for Request {
            fn from(request: $request) -> Self {
                Self::$variant(request)
            }
        }
    )* };
}

request_from! {
    Connect(ConnectRequest),
    Subscribe(SubscribeRequest),
    Unsubscribe(UnsubscribeRequest),
    Publish(PublishRequest),
    Presence(PresenceRequest),
    PresenceStats(PresenceStatsRequest),
    History(HistoryRequest),
    Ping(PingRequest),
    Send(SendRequest),
    RPC(RPCRequest),
    Refresh(RefreshRequest),
    SubRefresh(SubRefreshRequest),
}
