//! One client of a swarm, as a handle.

use bytes::Bytes;
use campanile_client::RequestError;
use campanile_common::message::PublishResult;
use tokio::sync::{mpsc, oneshot};

use crate::Failure;

/// What a client can be told to do.
#[derive(Debug)]
pub enum Order {
    /// Publish, and say what came of it.
    Publish {
        /// The channel.
        channel: String,
        /// The payload.
        data: Bytes,
        /// What came of it. Nobody need listen.
        answer: oneshot::Sender<Result<PublishResult, RequestError>>,
    },
    /// Break the connection without a word.
    Break,
    /// Connect again, if there is no connection.
    Return,
    /// Read nothing any more, though the connection stays, until [`Resume`](Self::Resume).
    Pause,
    /// Read again.
    Resume,
    /// Say nothing any more, not even to pings, though everything is read.
    Mute,
    /// Say goodbye and be done.
    Leave,
}

/// One client of a swarm.
#[derive(Clone, Debug)]
pub struct Member {
    /// The client's number, over all workers.
    pub number: usize,
    pub(super) orders: mpsc::Sender<Order>,
}

impl Member {
    /// Tells the client to do something; waits while it has too many orders already.
    pub async fn order(&self, order: Order) -> Result<(), Failure> {
        let gone = |_| Failure::run(format!("client {} is gone", self.number));
        self.orders.send(order).await.map_err(gone)
    }
}
