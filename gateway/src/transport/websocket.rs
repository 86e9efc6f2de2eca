//! WebSocket (RFC 6455), the server's side.
//!
//! Written here by hand, because the libraries were measured and found too expensive for what this is: a thousand
//! subscribers of one channel, 128 bytes a message, one core. Per idle connection they hold 5.6 to 133 KiB, this about
//! 1 KiB, as it keeps no read buffer between messages. None of them writes what waits in one system call, which is
//! worth a factor of 15 to 25 when messages come in bursts; some send one frame a write, accept what the RFC
//! forbids, or have no limit on a message. What is needed of the RFC is small: no extensions, no client.
//!
//! * [`accept`]: an HTTP request becomes a connection.
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

pub use decoder::{Decoder, Event};
pub use frame::{Header, Opcode};
pub use handshake::{Accepted, Connected, HandshakeError, accept};
pub use socket::WebSocket;
pub use violation::Violation;
