//! Native QUIC: the protocol `campanile/1`.
//!
//! A client opens one bidirectional stream, says in two bytes which codec it speaks and what it takes beside the
//! stream, and goes on with messages ([`stream`](super::stream)). The end is a CONNECTION_CLOSE with the code of the
//! protocol. The connection itself (handshakes, certificates, limits) is the business of the [`udp`](crate::udp) port.
//!
//! * [`open`](open()): the stream and its first bytes.
//! * [`NativeCarrier`]: the connection as the stream's transport needs it.
//! * [`LaneStreams`]: what goes on streams of single subscriptions, and as datagrams.

mod carrier;
mod lanes;
mod open;

pub use carrier::NativeCarrier;
pub use lanes::LaneStreams;
pub use open::{Opened, Unopened, open};
