//! The shard: where streams live and publications fan out to gateways.
//!
//! A shard value is one gateway's way to one shard: its command connections, its Pub/Sub links, and what it knows of
//! the server's incarnation. Operations never retry and never reconnect behind the caller's back.

mod copying;
pub(crate) mod envelope;
pub(crate) mod inbox;
pub(crate) mod intent;
pub(crate) mod key_name;
pub(crate) mod metrics;
mod options;
pub(crate) mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Epoch, Offset, Position};

pub use self::copying::{CopyItem, CopyPart, CopyScope, DirtyPage, ScanCursor, ShardUsage};
pub use self::options::ShardOptions;
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::publication::{Publication, ShardMessage};
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

    /// Publishes: checks the fence, idempotency key and version, appends, trims, fans out; atomically.
    fn publish(&self, partition: Partition, request: PublishRequest) -> ShardFuture<PublishOutcome>;

    /// Fans a join or leave out to the gateways subscribed to the channel; keeps nothing.
    fn announce(&self, partition: Partition, channel: &ChannelName, message: Announcement)
    -> ShardFuture<()>;

    /// Reads the position and the part of the stream that is asked for. Gives the channel an epoch if it has none.
    fn history(&self, partition: Partition, request: HistoryRequest) -> ShardFuture<HistoryPage>;

    /// Empties the stream; the position (epoch and top offset) stays. Gateways subscribed to the channel are told
    /// ([`ShardMessage::Cleared`]).
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

/// Which of a shard's Pub/Sub links carries `partition`: all channels of a partition share one, so that its markers
/// and its messages are in one order.
#[must_use]
pub fn lane_of(partition: Partition, lanes: u8) -> u8 {
    u8::try_from(partition.index() % usize::from(lanes.max(1))).expect("a remainder of a u8 fits u8")
}

/// The serial of a link that has just come up; see [`LinkId`].
pub(crate) fn next_serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

/// What a shard tells its router. Called from the link's own task, in the link's order; must not block.
pub trait ShardEvents: Send + Sync + 'static {
    /// A message arrived on a link.
    fn message(&self, link: &LinkId, channel: &str, message: ShardMessage);

    /// The shard says that it sealed `partition` for the move (or admission) named `generation`: whatever it
    /// published before, this link has brought before.
    fn marker(&self, link: &LinkId, partition: Partition, generation: Generation);

    /// A link is up; nothing is subscribed on it yet.
    fn link_up(&self, link: &LinkId);

    /// A link is gone, and all its subscriptions with it; messages may have been lost.
    fn link_down(&self, link: &LinkId);
}

/// One life of one Pub/Sub link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// The shard it leads to.
    pub shard: ShardId,
    /// Which of the shard's links; see [`lane_of`].
    pub lane: u8,
    /// Unique among all shards' links within this process; a link that is made anew has a higher one.
    pub serial: u64,
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

/// How much of a channel's stream is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Publications kept at most.
    pub size: u32,
    /// How long a publication is kept after the last one was published.
    pub ttl: Duration,
    /// How long the position outlives the last touch; at least `ttl`.
    pub meta_ttl: Duration,
}

/// A publication on its way in.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The channel.
    pub channel: ChannelName,
    /// What to publish; its offset is assigned by the shard.
    pub publication: Publication,
    /// The stream to append to; `None` only fans out.
    pub stream: Option<StreamLimits>,
    /// Accept the publication once only under this key.
    pub idempotency: Option<IdempotencyKey>,
    /// Accept it only if newer than what was published before. Without a stream there is nothing to compare with,
    /// and it is ignored.
    pub version: Option<Version>,
    /// The epoch to use if the stream has none or lost its continuity; unique for each request.
    pub new_epoch: Epoch,
}

/// Marks retries of one publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Chosen by the publisher, unique per channel and publication.
    pub key: String,
    /// How long the result is remembered.
    pub ttl: Duration,
}

/// A version of the document that a channel carries; older ones are not published over newer ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Larger is newer within one epoch.
    pub number: u64,
    /// Another epoch than the stored one resets the comparison; empty is an epoch like any other.
    pub epoch: String,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOutcome {
    /// Where it is in the stream (for a suppressed one: what the earlier one got, or the present top).
    pub position: Option<Position>,
    /// Why nothing was published.
    pub suppressed: Option<Suppressed>,
}

/// Why an accepted request published nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    /// Its idempotency key was used before.
    Repeated,
    /// A version at least as new was published before.
    Outdated,
}

/// A join or a leave.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// This client joined.
    Join(ClientInfo),
    /// This client left.
    Leave(ClientInfo),
}

/// A read of a stream.
#[derive(Clone, Debug)]
pub struct HistoryRequest {
    /// The channel.
    pub channel: ChannelName,
    /// Which part.
    pub range: HistoryRange,
    /// How long the position outlives this touch.
    pub meta_ttl: Duration,
    /// The epoch to use if the stream has none or lost its continuity; unique for each request.
    pub new_epoch: Epoch,
}

/// The part of a stream that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRange {
    /// Only publications after (in reverse: before) this offset; `None` from the respective end.
    pub since: Option<Offset>,
    /// How many at most; `None` all, 0 the position alone.
    pub limit: Option<u32>,
    /// Newest first.
    pub reverse: bool,
}

impl HistoryRange {
    /// The position alone.
    pub const POSITION: Self = Self {
        since: None,
        limit: Some(0),
        reverse: false,
    };

    /// What comes after `offset`, oldest first, `limit` at most.
    #[must_use]
    pub fn after(offset: Offset, limit: Option<u32>) -> Self {
        Self {
            since: Some(offset),
            limit,
            reverse: false,
        }
    }
}

/// What a history read found: one consistent view of position and content.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    /// The stream's epoch and top offset.
    pub position: Position,
    /// In the asked order.
    pub publications: Vec<Publication>,
}

/// Asks for one channel's position.
#[derive(Clone, Debug)]
pub struct PositionRequest {
    /// The channel's partition.
    pub partition: Partition,
    /// The channel.
    pub channel: ChannelName,
    /// How long the position outlives this touch.
    pub meta_ttl: Duration,
    /// The epoch to use if the stream has none or lost its continuity; unique for each request.
    pub new_epoch: Epoch,
}

/// One client's presence in one channel.
#[derive(Clone, Debug)]
pub struct PresenceEntry {
    /// The channel's partition.
    pub partition: Partition,
    /// The channel.
    pub channel: ChannelName,
    /// Who; `info.client` is the key.
    pub info: Arc<ClientInfo>,
    /// How long the entry stays without being refreshed.
    pub ttl: Duration,
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
