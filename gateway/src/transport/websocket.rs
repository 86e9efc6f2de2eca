//! WebSocket (RFC 6455), the server's side.
//!
//! Written here by hand, because the libraries were measured and found too expensive for what this is: a thousand
//! subscribers of one channel, 128 bytes a message, one core. Per idle connection they hold 5.6 to 133 KiB, this about
//! 1 KiB, as it keeps no read buffer between messages. None of them writes what waits in one system call, which is
//! worth a factor of 15 to 25 when messages come in bursts; some send one frame a write, accept what the RFC
//! forbids, or have no limit on a message. What is needed of the RFC is small: no extensions, no client.
//!
//! * [`handshake`](self): an HTTP request becomes a connection; [`Endpoint`] is the handler.
//! * `decoder`: bytes → messages, a state machine without I/O.
//! * `frame`: headers and close frames; `violation`: what a client may get wrong.
//! * `writer`: pieces → one vectored write, and what the socket does not take.
//! * `socket`: joins these to a stream as a [`Transport`](super::Transport).

mod decoder;
mod frame;
mod handshake;
mod socket;
mod violation;
mod writer;

use std::time::Duration;

pub use handshake::{Accepted, HandshakeError, accept};
pub use socket::WebSocket;
pub use violation::Violation;

/// `websocket.*`: how connections over WebSocket are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketOptions {
    /// Bytes of one message from a client at most, over all its fragments; a longer one ends the connection (1009).
    /// 64 KiB; a connection holds that much while such a message comes in.
    pub message_size_limit: usize,
    /// How long a client may take nothing of what is written to it before it is given up. 1 s.
    pub write_timeout: Duration,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            message_size_limit: 64 * 1024,
            write_timeout: Duration::from_secs(1),
        }
    }
}
