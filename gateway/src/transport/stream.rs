//! Messages on a stream of bytes: native QUIC's control stream, and the one stream of a WebTransport session.
//!
//! A stream has no frames of its own: messages follow each other in the codec's stream form, each JSON message ended
//! by a line break, each other one preceded by its length as a varint.
//!
//! * [`StreamDecoder`]: bytes → frames of whole messages, a state machine without I/O that clients use, too.
//! * [`Violation`]: what a client may get wrong.
//! * [`StreamTransport`]: joins the decoder to the two halves of a stream as a [`Transport`](super::Transport); its
//!   [`Carrier`] is the connection below, which knows how to end.

mod carrier;
mod transport;
mod violation;

pub use campanile_common::StreamDecoder;
pub use carrier::{Carrier, SendHalf};
pub use transport::StreamTransport;
pub use violation::Violation;
