//! One method per command: sends it and waits for its answer.

use bytes::Bytes;
use campanile_common::message::{
    Command, ConnectRequest, ConnectResult, HistoryRequest, HistoryResult, PresenceRequest, PresenceResult,
    PresenceStatsRequest, PresenceStatsResult, PublishRequest, PublishResult, RPCRequest, RPCResult,
    RefreshRequest, RefreshResult, Reply, Request, SubRefreshRequest, SubRefreshResult, SubscribeRequest,
    SubscribeResult, UnsubscribeRequest, UnsubscribeResult,
};

use crate::connection::answer;
use crate::{Connection, RequestError};

impl Connection {
    /// Opens the session: the first command of a connection.
    pub async fn connect(&mut self, request: ConnectRequest) -> Result<ConnectResult, RequestError> {
        self.ask(request, |reply| reply.connect.map(|result| *result))
            .await
    }

    /// Subscribes to a channel.
    pub async fn subscribe(&mut self, request: SubscribeRequest) -> Result<SubscribeResult, RequestError> {
        self.ask(request, |reply| reply.subscribe.map(|result| *result))
            .await
    }

    /// Ends the subscription to a channel.
    pub async fn unsubscribe(&mut self, channel: &str) -> Result<UnsubscribeResult, RequestError> {
        self.ask(
            UnsubscribeRequest {
                channel: channel.into(),
            },
            |reply| reply.unsubscribe,
        )
        .await
    }

    /// Publishes to a channel.
    pub async fn publish(
        &mut self,
        channel: &str,
        data: impl Into<Bytes>,
    ) -> Result<PublishResult, RequestError> {
        let request = PublishRequest {
            channel: channel.into(),
            data: data.into(),
            ..PublishRequest::default()
        };
        self.ask(request, |reply| reply.publish).await
    }

    /// Asks for what was published in a channel.
    pub async fn history(&mut self, request: HistoryRequest) -> Result<HistoryResult, RequestError> {
        self.ask(request, |reply| reply.history.map(|result| *result))
            .await
    }

    /// Asks who is subscribed to a channel.
    pub async fn presence(&mut self, channel: &str) -> Result<PresenceResult, RequestError> {
        self.ask(
            PresenceRequest {
                channel: channel.into(),
            },
            |reply| reply.presence,
        )
        .await
    }

    /// Asks how many are subscribed to a channel.
    pub async fn presence_stats(&mut self, channel: &str) -> Result<PresenceStatsResult, RequestError> {
        self.ask(
            PresenceStatsRequest {
                channel: channel.into(),
            },
            |reply| reply.presence_stats,
        )
        .await
    }

    /// Calls the application.
    pub async fn rpc(&mut self, method: &str, data: impl Into<Bytes>) -> Result<RPCResult, RequestError> {
        self.ask(
            RPCRequest {
                method: method.into(),
                data: data.into(),
            },
            |reply| reply.rpc,
        )
        .await
    }

    /// Renews the connection's token.
    pub async fn refresh(&mut self, token: &str) -> Result<RefreshResult, RequestError> {
        self.ask(RefreshRequest { token: token.into() }, |reply| {
            reply.refresh.map(|result| *result)
        })
        .await
    }

    /// Renews a subscription's token.
    pub async fn sub_refresh(
        &mut self,
        channel: &str,
        token: &str,
    ) -> Result<SubRefreshResult, RequestError> {
        let request = SubRefreshRequest {
            channel: channel.into(),
            token: token.into(),
            ..SubRefreshRequest::default()
        };
        self.ask(request, |reply| reply.sub_refresh.map(|result| *result))
            .await
    }

    async fn ask<T>(
        &mut self,
        request: impl Into<Request>,
        field: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<T, RequestError> {
        let reply = self.request(Command::new(0, request)).await?;
        answer(reply, field)
    }
}
