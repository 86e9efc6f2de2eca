//! The shard: where streams live and publications fan out to gateways.
//!
//! A shard value is one gateway's way to one shard: its command connections, its Pub/Sub links, and what it knows of
//! the server's incarnation. Operations never retry and never reconnect behind the caller's back.

mod copying;
pub(crate) mod envelope;
mod events;
pub(crate) mod inbox;
pub(crate) mod intent;
pub(crate) mod key_name;
pub(crate) mod metrics;
mod options;
pub(crate) mod parts;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Position};
use tokio::sync::watch;

pub use self::copying::{CopyItem, CopyPart, CopyScope, DirtyPage, ScanCursor, ShardUsage};
pub(crate) use self::events::next_serial;
pub use self::events::{LinkId, ShardEvents, lane_of};
pub use self::options::ShardOptions;
pub(crate) use self::requests::MAX_PRESENCE_PAGE;
pub use self::requests::{
    Announcement, HistoryPage, HistoryRange, HistoryRequest, IdempotencyKey, PositionRequest, PresenceEntry,
    PresencePage, PublishOutcome, PublishRequest, StreamLimits, Suppressed, Version,
};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::topology::{DeploymentId, Generation, Incarnation, ShardId, ShardUrl, Token};

/// The pending answer of a shard. The request is queued when the method is called, not when this is first polled:
/// calls for one partition are carried out in call order. Dropping it does not take the request back.
pub type ShardFuture<T> = Pin<Box<dyn Future<Output = Result<T, ShardError>> + Send + 'static>>;

/// One gateway's way to one shard.
///
/// Data operations (publish … unsubscribe) are answered only while connected to the trusted incarnation
/// ([`Shard::trust`]); the coordinator's operations name the incarnation they are meant for and work on an untrusted
/// one too. Every operation ends within the configured command timeout; a wipe takes as many of them as one pass over
/// the server's keys needs.
pub trait Shard: Send + Sync + 'static {
    /// Its name.
    fn id(&self) -> &ShardId;

    /// What is known of the connection to it.
    fn status(&self) -> ShardStatus;

    /// Tells which run of the server may be used, and the generation at which it was admitted. A change of either
    /// drops all connections and links and makes them anew.
    fn trust(&self, incarnation: Option<Incarnation>, admitted: Generation);

    /// Ends all connections and tasks. Links report [`ShardEvents::link_down`].
    fn close(&self);

    /// Counts how often another server has taken the shard over, as far as somebody tells, so that nobody has to find out
    /// by looking. Closed at once where nobody ever tells.
    fn takeovers(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// How long whoever replaces the shard's server waits before it does: so long silence is no reason yet to give the
    /// shard up.
    fn takeover_delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Publishes: checks the fence, idempotency key and version, appends, trims, fans out; atomically.
    fn publish(&self, partition: Partition, request: PublishRequest) -> ShardFuture<PublishOutcome>;

    /// Fans a join or leave out to the gateways subscribed to the channel; keeps nothing.
    fn announce(&self, partition: Partition, channel: &ChannelName, message: Announcement)
    -> ShardFuture<()>;

    /// Reads the position and the part of the stream that is asked for. Gives the channel an epoch if it has none.
    fn history(&self, partition: Partition, request: HistoryRequest) -> ShardFuture<HistoryPage>;

    /// Empties the stream; the position (epoch and top offset) stays. Gateways subscribed to the channel are told
    /// ([`ShardMessage::Cleared`](crate::publication::ShardMessage::Cleared)).
    fn remove_history(&self, partition: Partition, channel: &ChannelName) -> ShardFuture<()>;

    /// The positions of many channels in one round trip, answered one by one in order.
    fn positions(&self, requests: Vec<PositionRequest>) -> ShardFuture<Vec<Result<Position, ShardError>>>;

    /// Adds or refreshes presence entries in one round trip, answered one by one in order.
    fn refresh_presence(&self, entries: Vec<PresenceEntry>) -> ShardFuture<Vec<Result<(), ShardError>>>;

    /// Removes one client from a channel's presence.
    fn remove_presence(&self, partition: Partition, channel: &ChannelName, client: &str) -> ShardFuture<()>;

    /// Everyone present in a channel, by client id, without the expired.
    fn presence(
        &self,
        partition: Partition,
        channel: &ChannelName,
    ) -> ShardFuture<BTreeMap<String, ClientInfo>>;

    /// How many are present in a channel, and some of them: `limit`, and never more than a thousand. Without the expired.
    fn presence_page(
        &self,
        partition: Partition,
        channel: &ChannelName,
        limit: usize,
    ) -> ShardFuture<PresencePage>;

    /// Subscribes channels; resolves when the server has acknowledged each of them. Fails if the link they are on is
    /// down or breaks meanwhile; then none of them is subscribed.
    fn subscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()>;

    /// Unsubscribes channels; resolves when that is acknowledged and what their link brought before has been handed to
    /// [`ShardEvents`]: nothing of them comes any more.
    fn unsubscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()>;

    /// How many Pub/Sub links there are; see [`lane_of`].
    fn lanes(&self) -> u8;

    /// Asks the server which run it is and what it was last admitted at, over a connection of its own.
    fn probe(&self) -> ShardFuture<Probe>;

    /// Carries out `commands` on the given run, in order, answered one by one.
    fn fence(
        &self,
        incarnation: &Incarnation,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> ShardFuture<Vec<FenceReply>>;

    /// All owner records on the given run.
    fn owners(&self, incarnation: &Incarnation) -> ShardFuture<Vec<(Partition, OwnerRecord)>>;

    /// Deletes every key (but the owner records) of `partitions`, each only while its record is importing at
    /// `generation` by `token`.
    fn wipe(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
        generation: Generation,
        token: Token,
    ) -> ShardFuture<()>;

    /// Notes on the server itself that this run was admitted at `generation` of `deployment`: the note is gone when its
    /// data is.
    fn note_admitted(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        deployment: DeploymentId,
    ) -> ShardFuture<()>;

    /// Notes on the server itself that nothing of the deployment is left there, for whoever asked for that; false takes
    /// this note and the request off.
    fn note_drained(&self, incarnation: &Incarnation, drained: bool) -> ShardFuture<()>;

    /// Which of these partitions are sealed here, and at which generation. A data operation: a gateway asks it for what
    /// moves away, once its control channel is subscribed.
    fn sealed(&self, partitions: Vec<Partition>) -> ShardFuture<Vec<(Partition, Generation)>>;

    /// The owner records of these partitions, in order.
    fn records(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
    ) -> ShardFuture<Vec<Option<OwnerRecord>>>;

    /// One step of a walk over everything that `partitions` hold, owner records and notes of changes excepted. `None`
    /// instead of a next cursor: the walk is over. Something may be met twice; what is there from the first step to the
    /// last is met at least once.
    fn scan(
        &self,
        incarnation: &Incarnation,
        partitions: Arc<BTreeSet<Partition>>,
        scope: CopyScope,
        cursor: ScanCursor,
    ) -> ShardFuture<(Vec<CopyItem>, Option<ScanCursor>)>;

    /// What has changed since each partition began to migrate for the move `generation`, after the number given with it
    /// (0: everything). Reading takes nothing away, so several coordinators can. `None`: the partition is not migrating
    /// or sealed for that move.
    fn dirty(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        since: Vec<(Partition, u64)>,
        scope: CopyScope,
    ) -> ShardFuture<Vec<Option<DirtyPage>>>;

    /// Reads items for copying, as much of each as a few milliseconds of the server's time allow. `None`: the partition
    /// is not migrating or sealed for the move `generation`.
    fn copy(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        items: Vec<CopyItem>,
    ) -> ShardFuture<Vec<Option<CopyPart>>>;

    /// Writes parts, each only while its partition is importing at `generation` by `token`; false: it is not, or the part
    /// continues something that is not there (any more). Either way this attempt has come to its end.
    fn restore(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        token: Token,
        parts: Vec<CopyPart>,
    ) -> ShardFuture<Vec<bool>>;

    /// Deletes everything (but the owner records) of each partition that is sealed at a generation not later than the one
    /// given with it, in steps, with pauses; others are left alone.
    fn clean(&self, incarnation: &Incarnation, partitions: Vec<(Partition, Generation)>) -> ShardFuture<()>;

    /// How much the server holds.
    fn usage(&self, incarnation: &Incarnation) -> ShardFuture<ShardUsage>;
}

/// Makes shard values for the topology's entries.
pub trait ShardFactory: Send + Sync + 'static {
    /// Opens the way to `shard` at `url`; connecting goes on in the background. How this gateway was itself told to reach
    /// a shard of that name comes before `url`: it may need other credentials or certificates.
    ///
    /// # Errors
    ///
    /// In words, why there is no such way.
    fn open(
        &self,
        shard: &ShardId,
        url: &ShardUrl,
        events: Arc<dyn ShardEvents>,
    ) -> Result<Arc<dyn Shard>, String>;
}

/// What is known of the connection to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardStatus {
    /// Connected to the trusted run: operations go through.
    Connected,
    /// Reachable, but the run that answers is not (yet) the trusted one.
    Untrusted(Incarnation),
    /// Not reachable, with the last error in words.
    Unreachable(String),
}

/// Which run answers and what it remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The run of the server process.
    pub incarnation: Incarnation,
    /// The generation of its last admission, as noted on the server; `None` on an empty server.
    pub admitted: Option<Generation>,
    /// Whether this run was a replica before: then it may lack what the primary before it acknowledged, and even a
    /// durable shard's positions cannot be trusted.
    pub promoted: bool,
    /// The deployment that admitted it last, as noted on the server.
    pub deployment: Option<DeploymentId>,
    /// Somebody has asked, on the server itself, that the shard be drained.
    pub drain_asked: bool,
}

/// Why a shard did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShardError {
    /// The partition is not served here (moved, sealed, being filled, or lost). Nothing was done.
    #[error("the shard does not own the partition")]
    NotOwner,
    /// There is no usable connection, or the request did not get its turn in time. Nothing was done.
    #[error("the shard cannot be reached: {0}")]
    Unavailable(String),
    /// It was sent, but no answer came. It may have been done.
    #[error("no answer from the shard: {0}")]
    Unanswered(String),
    /// The queue to the shard is full. Nothing was done.
    #[error("too many requests wait for the shard")]
    Overloaded,
    /// The server refused (out of memory, read-only replica, missing permission). Nothing was done.
    #[error("the shard refused: {0}")]
    Refused(String),
    /// The server answered something that is not understood.
    #[error("the shard's answer is not understood: {0}")]
    Malformed(String),
}

impl ShardError {
    /// Whether it is certain that the request had no effect, so that it may be tried elsewhere.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        !matches!(self, Self::Unanswered(_) | Self::Malformed(_))
    }
}
