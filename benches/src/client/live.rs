//! A client's state while it is connected.

use std::time::{Duration, Instant};

use campanile_client::RequestError;
use campanile_common::message::{PublishRequest, PublishResult, SubscribeRequest};
use tokio::sync::oneshot;

use super::Order;
use super::connection::Connection;

/// Between two attempts to subscribe to what was refused for now, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a command was for.
pub(super) enum Asked {
    /// To subscribe. The request is kept for when it has to be made again.
    Subscribe(Box<SubscribeRequest>),
    /// To publish.
    Publish(oneshot::Sender<Result<PublishResult, RequestError>>),
}

/// A client's state while it is connected.
pub(super) struct Live {
    pub(super) connection: Connection<Asked>,
    /// When this attempt was meant to begin.
    pub(super) intended: Instant,
    pub(super) ready: bool,
    pub(super) paused: bool,
    /// Subscriptions that have no answer yet that stands.
    due: usize,
    /// Those of them that were refused for now, and when all of these are asked for again.
    refused: Vec<SubscribeRequest>,
    again: Option<tokio::time::Instant>,
    /// How long it is until then the next time.
    patience: Duration,
    /// The numbers that stand for channels in their lanes.
    lanes: Vec<(u64, String)>,
}

impl Live {
    /// A connection over which these subscriptions are asked for.
    pub(super) fn new(
        connection: Connection<Asked>,
        intended: Instant,
        subscriptions: Vec<SubscribeRequest>,
    ) -> Self {
        let mut this = Self {
            connection,
            intended,
            ready: false,
            paused: false,
            due: subscriptions.len(),
            refused: subscriptions,
            again: None,
            patience: RETRY.0,
            lanes: Vec::new(),
        };
        this.subscribe();
        this
    }

    /// Asks for all subscriptions that wait to be asked for.
    pub(super) fn subscribe(&mut self) {
        self.again = None;
        for request in std::mem::take(&mut self.refused) {
            let asked = Asked::Subscribe(Box::new(request.clone()));
            self.connection.ask(request, asked);
        }
    }

    /// When that is to be done again, if at all.
    pub(super) const fn again(&self) -> Option<tokio::time::Instant> {
        self.again
    }

    /// A subscription was answered for good, and its channel is known in its lane by this number from now on, if by any.
    pub(super) fn settled(&mut self, channel: String, lane: i64) {
        self.due -= 1;
        if let Ok(lane) = u64::try_from(lane)
            && lane > 0
        {
            self.lanes.push((lane, channel));
        }
    }

    /// A subscription was refused for now: it is asked for again after a while.
    pub(super) fn refused_for_now(&mut self, request: SubscribeRequest) {
        self.refused.push(request);
        if self.again.is_none() {
            self.again = Some(tokio::time::Instant::now() + self.patience);
            self.patience = (2 * self.patience).min(RETRY.1);
        }
    }

    /// Whether everything that it asked for is answered.
    pub(super) const fn is_complete(&self) -> bool {
        self.due == 0
    }

    /// The channel that is known by this number.
    pub(super) fn channel_of(&self, lane: u64) -> Option<&str> {
        let found = self.lanes.iter().find(|(number, _)| *number == lane);
        found.map(|(_, name)| name.as_str())
    }

    /// Does what the connection is needed for.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Publish {
                channel,
                data,
                answer,
            } => {
                let request = PublishRequest {
                    channel,
                    data,
                    ..PublishRequest::default()
                };
                self.connection.ask(request, Asked::Publish(answer));
            }
            Order::Pause => self.paused = true,
            Order::Resume => self.paused = false,
            Order::Mute => self.connection.mute(),
            Order::Break | Order::Return | Order::Leave => {}
        }
    }
}
