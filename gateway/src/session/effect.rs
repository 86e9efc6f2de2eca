//! What a session wants done, in the order in which it wants it.

use bytes::Bytes;
use campanile_common::message::{ClientInfo, Reply};
use campanile_common::{ChannelName, Disconnect, Position};
use campanile_shard_router::shard::{Announcement, StreamLimits};

use crate::config::options::RecoveryMode;

/// The next thing that a session's driver has to do. Outputs are carried out in the order in which they are polled.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this to the client, behind all that was sent before.
    Reply(Reply),
    /// Send a ping to the client.
    Ping,
    /// Do this; see [`Effect`].
    Effect(Effect),
    /// Close the transport with this code, after what was sent before. Comes once; the only outputs after it are
    /// effects that undo what the session had done.
    Close(Disconnect),
}

/// Names an [`Effect`] that wants an [`Outcome`](super::Outcome), within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Something that the session cannot do itself.
///
/// Effects are *begun* in order: requests for one partition reach its shard in that order. Each effect that carries a
/// [`RequestId`] is answered exactly once, within the router's timeouts, also after the session has closed.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The connection belongs to `user` (empty: anonymous) now: make it known to the server API, unless a limit
    /// forbids it. Answered by [`Outcome::Registered`](super::Outcome::Registered). Undone by the driver itself when
    /// the connection ends.
    Register {
        /// Names the answer.
        request: RequestId,
        /// The user.
        user: String,
    },
    /// Subscribe the connection. Answered by [`Outcome::Subscribed`](super::Outcome::Subscribed): a success at the
    /// very point at which delivery begins, so that what the session sends for it comes before the first
    /// publication; a failure after everything that had been done for it is undone, presence included.
    Subscribe {
        /// Names the answer.
        request: RequestId,
        /// The channel.
        channel: ChannelName,
        /// How.
        spec: Box<SubscribeSpec>,
    },
    /// End a subscription whose success was reported. Nothing of the channel may be sent to the client after this.
    Unsubscribe {
        /// The channel.
        channel: ChannelName,
        /// Whether the connection was entered into the channel's presence, and must be taken out.
        presence: bool,
        /// Announce that this client left.
        leave: Option<Box<ClientInfo>>,
    },
    /// Announce a joining client.
    Announce {
        /// The channel.
        channel: ChannelName,
        /// What is announced.
        announcement: Box<Announcement>,
    },
    /// The presence entry of the connection in this channel has changed.
    Enter {
        /// The channel.
        channel: ChannelName,
        /// The new entry.
        info: Box<ClientInfo>,
    },
    /// Publish. Answered by [`Outcome::Published`](super::Outcome::Published).
    Publish {
        /// Names the answer.
        request: RequestId,
        /// The channel.
        channel: ChannelName,
        /// What and how.
        spec: Box<PublishSpec>,
    },
    /// Read who is present. Answered by [`Outcome::Presence`](super::Outcome::Presence).
    Presence {
        /// Names the answer.
        request: RequestId,
        /// The channel.
        channel: ChannelName,
    },
    /// Read the stream. Answered by [`Outcome::History`](super::Outcome::History).
    History {
        /// Names the answer.
        request: RequestId,
        /// The channel.
        channel: ChannelName,
        /// Which part.
        spec: Box<HistorySpec>,
    },
}

/// How a connection is subscribed.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscribeSpec {
    /// The stream that the channel keeps, if any.
    pub stream: Option<StreamLimits>,
    /// Whether the subscription must end when continuity is lost. Never without a stream.
    pub positioned: bool,
    /// What to recover. Never without a position.
    pub recover: Option<Recover>,
    /// Publications recovered at most.
    pub recovery_limit: u32,
    /// Enter the client into the channel's presence, before the subscription succeeds.
    pub presence: Option<ClientInfo>,
    /// Whether the client gets join and leave messages.
    pub wants_join_leave: bool,
    /// The ways that its pushes may take.
    pub delivery: Delivery,
}

/// The ways that the pushes of a subscription may take, to a client that takes more than one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Behind the replies: the client cannot be told the subscription's number.
    #[default]
    Control,
    /// On a stream of their own.
    Stream,
    /// On a stream of their own, publications also as datagrams.
    Datagrams,
}

/// A wish to be given what was missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recover {
    /// The last that the client has seen; the epoch is empty if it does not know it.
    pub position: Position,
    /// Everything since, or the latest publication.
    pub mode: RecoveryMode,
}

/// A client's publication.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishSpec {
    /// The payload.
    pub data: Bytes,
    /// Who publishes.
    pub info: ClientInfo,
    /// The stream that the channel keeps, if any.
    pub stream: Option<StreamLimits>,
}

/// A read of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct HistorySpec {
    /// Only what comes after (in reverse: before) this position. The read fails if the epoch is named and is not the
    /// stream's.
    pub since: Option<Position>,
    /// Publications at most; 0 for the position alone.
    pub limit: u32,
    /// Newest first.
    pub reverse: bool,
    /// The stream that the channel keeps.
    pub stream: StreamLimits,
}
