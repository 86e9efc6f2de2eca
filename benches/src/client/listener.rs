//! What a client tells whoever made it.

use std::time::Duration;

use campanile_client::Closed;
use campanile_common::message::{Error, Publication, SubscribeRequest, SubscribeResult};

/// Is told what happens to one client. All methods are called by the client's own task and must not block.
pub trait Listener: Send + 'static {
    /// The client is connected, to a server that wants an answer to its pings this often; `None`: to none.
    fn connected(&mut self, pings: Option<Duration>) {
        let _ = pings;
    }

    /// What to subscribe to, asked after each connect: the first time, and when the client comes back.
    fn subscriptions(&mut self) -> Vec<SubscribeRequest>;

    /// The client is connected and everything it asked for is answered. `took` counts from when it was meant to begin.
    fn ready(&mut self, took: Duration) {
        let _ = took;
    }

    /// A subscription was answered; publications that were recovered are in the result. One that is refused for now (the error
    /// is temporary) is asked for again, and answered again.
    fn subscribed(&mut self, channel: &str, result: Result<&SubscribeResult, &Error>) {
        let _ = (channel, result);
    }

    /// The server ended a subscription.
    fn unsubscribed(&mut self, channel: &str, code: u32) {
        let _ = (channel, code);
    }

    /// A publication arrived.
    fn delivered(&mut self, channel: &str, publication: &Publication);

    /// The connection has ended, not by an order. By default the client comes back when the server expects it to, as real
    /// ones do.
    fn closed(&mut self, closed: &Closed) -> Next {
        if closed.reconnects() {
            Next::Return
        } else {
            Next::Stay
        }
    }
}

/// What a client does whose connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It connects again, at once.
    Return,
    /// It stays away.
    Stay,
}
