//! What the server sends.

use super::define::messages;
use super::{
    ConnectResult, Error, HistoryResult, PingResult, PresenceResult, PresenceStatsResult, PublishResult,
    Push, RPCResult, RefreshResult, SubRefreshResult, SubscribeResult, UnsubscribeResult,
};

messages! {
    /// One reply: the answer to the command of that `id`, or a push, or nothing at all: a ping.
    ///
    /// Larger answers are boxed so that a reply stays small while it waits.
    pub struct Reply {
        /// The number of the command; 0 for what was not asked for.
        #[prost(uint32, tag = "1")]
        pub id: u32,
        /// The command failed.
        #[prost(message, optional, boxed, tag = "2")]
        pub error: Option<Box<Error>>,
        /// Something happened.
        #[prost(message, optional, boxed, tag = "4")]
        pub push: Option<Box<Push>>,
        /// The connection is open.
        #[prost(message, optional, boxed, tag = "5")]
        pub connect: Option<Box<ConnectResult>>,
        /// The subscription is open.
        #[prost(message, optional, boxed, tag = "6")]
        pub subscribe: Option<Box<SubscribeResult>>,
        /// The subscription has ended.
        #[prost(message, optional, tag = "7")]
        pub unsubscribe: Option<UnsubscribeResult>,
        /// The publication was accepted.
        #[prost(message, optional, tag = "8")]
        pub publish: Option<PublishResult>,
        /// Who is subscribed.
        #[prost(message, optional, tag = "9")]
        pub presence: Option<PresenceResult>,
        /// How many are subscribed.
        #[prost(message, optional, tag = "10")]
        pub presence_stats: Option<PresenceStatsResult>,
        /// What was published.
        #[prost(message, optional, boxed, tag = "11")]
        pub history: Option<Box<HistoryResult>>,
        /// The server is there.
        #[prost(message, optional, tag = "12")]
        pub ping: Option<PingResult>,
        /// What the application answered.
        #[prost(message, optional, tag = "13")]
        pub rpc: Option<RPCResult>,
        /// The connection's token was renewed.
        #[prost(message, optional, boxed, tag = "14")]
        pub refresh: Option<Box<RefreshResult>>,
        /// The subscription's token was renewed.
        #[prost(message, optional, boxed, tag = "15")]
        pub sub_refresh: Option<Box<SubRefreshResult>>,
    }
}

/// What a reply carries for a command that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The connection is open.
    Connect(ConnectResult),
    /// The subscription is open.
    Subscribe(SubscribeResult),
    /// The subscription has ended.
    Unsubscribe(UnsubscribeResult),
    /// The publication was accepted.
    Publish(PublishResult),
    /// Who is subscribed.
    Presence(PresenceResult),
    /// How many are subscribed.
    PresenceStats(PresenceStatsResult),
    /// What was published.
    History(HistoryResult),
    /// The server is there.
    Ping(PingResult),
    /// What the application answered.
    RPC(RPCResult),
    /// The connection's token was renewed.
    Refresh(RefreshResult),
    /// The subscription's token was renewed.
    SubRefresh(SubRefreshResult),
}

impl Reply {
    /// The command `id` succeeded.
    pub fn answer(id: u32, answer: impl Into<Answer>) -> Self {
        let mut reply = Self {
            id,
            ..Self::default()
        };
        match answer.into() {
            Answer::Connect(answer) => reply.connect = Some(Box::new(answer)),
            Answer::Subscribe(answer) => reply.subscribe = Some(Box::new(answer)),
            Answer::Unsubscribe(answer) => reply.unsubscribe = Some(answer),
            Answer::Publish(answer) => reply.publish = Some(answer),
            Answer::Presence(answer) => reply.presence = Some(answer),
            Answer::PresenceStats(answer) => reply.presence_stats = Some(answer),
            Answer::History(answer) => reply.history = Some(Box::new(answer)),
            Answer::Ping(answer) => reply.ping = Some(answer),
            Answer::RPC(answer) => reply.rpc = Some(answer),
            Answer::Refresh(answer) => reply.refresh = Some(Box::new(answer)),
            Answer::SubRefresh(answer) => reply.sub_refresh = Some(Box::new(answer)),
        }
        reply
    }

    /// The command `id` failed.
    pub fn error(id: u32, error: impl Into<Error>) -> Self {
        Self {
            id,
            error: Some(Box::new(error.into())),
            ..Self::default()
        }
    }

    /// Something happened.
    #[must_use]
    pub fn push(push: Push) -> Self {
        Self {
            push: Some(Box::new(push)),
            ..Self::default()
        }
    }

    /// Whether this is a ping: an empty reply.
    #[must_use]
    pub fn is_ping(&self) -> bool {
        *self == Self::default()
    }
}

macro_rules! answer_from {
    ($($variant:ident($answer:ty),)*) => { $(
        impl From<$answer> for Answer {
            fn from(answer: $answer) -> Self {
                Self::$variant(answer)
            }
        }
    )* };
}

answer_from! {
    Connect(ConnectResult),
    Subscribe(SubscribeResult),
    Unsubscribe(UnsubscribeResult),
    Publish(PublishResult),
    Presence(PresenceResult),
    PresenceStats(PresenceStatsResult),
    History(HistoryResult),
    Ping(PingResult),
    RPC(RPCResult),
    Refresh(RefreshResult),
    SubRefresh(SubRefreshResult),
}
