//! The router: brings publications to the shard that owns their channel, and what shards say to the subscribers of
//! this gateway.
//!
//! # Parts
//!
//! * `topology`: applies the topology as it changes; `routes` is the immutable snapshot that everything else reads.
//! * `opened`: one gateway's ways to its shards, and the state of their links.
//! * `ways`: which shards may serve a partition now, during a move too.
//! * `publish`: publications in order per partition; what waits for an owner waits in `line`.
//! * `channel`, `channels`: what is known of each subscribed channel.
//! * `subscribe`: subscribers come and go.
//! * `moves`: settles channels whose partition changes hands ([`handover`](crate::handover)), and says when a topology
//!   may be acknowledged; `handovers` keeps one handover for each partition.
//! * `drive`: does what a channel's [`feed`](crate::feed) asks for, one task per channel that needs something.
//! * `events`: messages and link changes as they arrive; `resume` brings a link's channels back in batches.
//! * `check`: compares idle channels' positions with their owners'.
//! * `renewals`: why streams got new epochs.
//! * `presence`: who is present, refreshed in batches.
//! * `operate`: history and presence reads, announcements.
//!
//! # Locks
//!
//! A channel has two: *delivery* serialises its fan-out and is taken first; *state* guards members and continuity
//! and is never held during fan-out. The channel map's locks are taken before a channel's state, never after; a
//! partition's handover is locked last. A publication's line is locked while it is handed to the shard, which does not
//! block. None is held across an await.

mod channel;
mod channels;
mod check;
mod drive;
mod error;
mod events;
mod handovers;
mod line;
mod metrics;
mod moves;
mod opened;
mod operate;
mod presence;
mod publish;
mod renewals;
mod resume;
mod retry;
mod routes;
mod subscribe;
#[cfg(test)]
mod tests;
mod topology;
mod ways;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use campanile_common::{ChannelName, Position};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audience::Audience;
use crate::coordinator::ShardSource;
use crate::feed::{FeedLimits, KeptBytes};
pub use crate::feed::{Recover, RecoverMode, RecoveryOutcome, Subscribed};
use crate::handover::HoldLimits;
use crate::membership::Membership;
use crate::shard::{Shard, ShardFactory, ShardStatus};
use crate::store::{GatewayId, TopologyStore};
use crate::topology::{Generation, ShardId, ShardUrl, Topology};
use channels::Channels;
use check::Suspects;
pub use error::RouterError;
use handovers::Handovers;
use line::Lines;
use metrics::RouterMetrics;
use opened::OpenedShards;
pub use operate::HistoryQuery;
use presence::PresenceTable;
pub use publish::Publish;
use renewals::Renewals;
use routes::Routes;
pub use subscribe::SubscribeOptions;
use ways::SealedSources;

/// How a router behaves. Every bound is per gateway unless it says otherwise.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// How long a subscriber waits for its channel to be subscribed and read, all in all.
    pub command_timeout: Duration,
    /// How long a publication, or a read, may wait for its partition to have a reachable owner.
    pub publish_wait: Duration,
    /// Publications that may wait for an owner, per partition.
    pub publish_queue_messages: usize,
    /// Bytes of publications that may wait for an owner, all partitions together.
    pub publish_queue_bytes: usize,
    /// Publications kept per channel for subscribers that return.
    pub window_publications: usize,
    /// The same in bytes.
    pub window_bytes: usize,
    /// Bytes kept in addition, all channels together, for a minute after subscribers that were away for longer have
    /// returned: others come after them.
    pub kept_bytes: usize,
    /// Messages held per channel while a gap is being healed, and as many again while a partition changes hands.
    pub held_messages: usize,
    /// The same in bytes.
    pub held_bytes: usize,
    /// Publications that a subscriber may recover at once.
    pub recovery_limit: u32,
    /// Reads of streams under way at once, per shard; the rest waits its turn.
    pub concurrent_reads: usize,
    /// How often an idle channel's position is compared with its owner's.
    pub position_check_interval: Duration,
    /// How often presence entries are refreshed; well within `presence_ttl`.
    pub presence_refresh_interval: Duration,
    /// How long a presence entry outlives its last refresh.
    pub presence_ttl: Duration,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            command_timeout: Duration::from_secs(2),
            publish_wait: Duration::from_secs(1),
            publish_queue_messages: 1024,
            publish_queue_bytes: 16 << 20,
            // A minute of a lively chat; 64 KiB for each of 10,000 channels are 640 MiB at the very worst.
            window_publications: 64,
            window_bytes: 64 << 10,
            // Of 100 channels in which 300 publications of 2 KiB were missed.
            kept_bytes: 64 << 20,
            held_messages: 1024,
            held_bytes: 1 << 20,
            // Centrifugo's `client.recovery_max_publication_limit`.
            recovery_limit: 300,
            concurrent_reads: 32,
            position_check_interval: Duration::from_secs(40),
            presence_refresh_interval: Duration::from_secs(25),
            presence_ttl: Duration::from_secs(60),
        }
    }
}

impl RouterConfig {
    fn hold_limits(&self) -> HoldLimits {
        HoldLimits {
            messages: self.held_messages,
            bytes: self.held_bytes,
        }
    }

    fn feed_limits(&self) -> FeedLimits {
        FeedLimits {
            window_publications: self.window_publications,
            window_bytes: self.window_bytes,
            held_messages: self.held_messages,
            held_bytes: self.held_bytes,
            heal_page: 1000,
            recovery_limit: self.recovery_limit,
            kept: KeptBytes::new(self.kept_bytes),
        }
    }
}

/// One gateway's router. See the module's documentation.
pub struct Router<A: Audience> {
    core: Arc<Core<A>>,
}

/// What the router's tasks share.
struct Core<A: Audience> {
    config: RouterConfig,
    feed_limits: Arc<FeedLimits>,
    audience: Arc<A>,
    factory: Arc<dyn ShardFactory>,
    routes: ArcSwap<Routes>,
    /// The applied generation, for those who wait for a newer one.
    applied: watch::Sender<Generation>,
    opened: OpenedShards,
    channels: Channels<A>,
    handovers: Handovers,
    hold_limits: HoldLimits,
    /// Tells whoever acknowledges topologies that something which that waits for may have come.
    handed: Notify,
    /// Whether he waits for anything.
    awaited: AtomicBool,
    lines: Lines,
    sealed: SealedSources,
    renewals: Renewals,
    suspects: Suspects,
    presence: PresenceTable,
    metrics: RouterMetrics,
    runtime: Handle,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// What can be said of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardHealth {
    /// Its name.
    pub id: ShardId,
    /// Where it is, without credentials.
    pub address: String,
    /// Whether it can be used.
    pub status: ShardStatus,
    /// How many partitions it owns.
    pub partitions: usize,
    /// How many of them are decided for it but not open there yet.
    pub opening: usize,
}

impl<A: Audience> Router<A> {
    /// Starts a router: its tasks run until [`Router::shutdown`]. Serves nothing before the store holds a topology,
    /// and follows the topology from then on. Must be called within a tokio runtime, on which the tasks will run.
    pub fn start(
        config: RouterConfig,
        audience: Arc<A>,
        store: Arc<dyn TopologyStore>,
        factory: Arc<dyn ShardFactory>,
        gateway: GatewayId,
    ) -> Arc<Self> {
        let core = Arc::new(Core {
            feed_limits: Arc::new(config.feed_limits()),
            lines: Lines::new(&config),
            hold_limits: config.hold_limits(),
            config,
            audience,
            factory,
            routes: ArcSwap::default(),
            applied: watch::Sender::new(Generation::default()),
            opened: OpenedShards::default(),
            channels: Channels::default(),
            handovers: Handovers::default(),
            handed: Notify::new(),
            awaited: AtomicBool::new(false),
            sealed: SealedSources::default(),
            renewals: Renewals::default(),
            suspects: Suspects::default(),
            presence: PresenceTable::default(),
            metrics: RouterMetrics::register(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        });
        let membership = Membership::join(store, gateway);
        core.tasks.spawn(topology::follow(Arc::clone(&core), membership));
        core.spawn(check::run(Arc::clone(&core)));
        core.spawn(presence::run(Arc::clone(&core)));
        Arc::new(Self { core })
    }

    /// The topology that is applied; `None` before the first.
    #[must_use]
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.core.topology()
    }

    /// Announces each topology generation once it is applied.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Generation> {
        self.core.applied.subscribe()
    }

    /// How each shard of the topology is.
    #[must_use]
    pub fn shard_health(&self) -> Vec<ShardHealth> {
        self.core.routes.load().health()
    }

    /// Bytes of the publications that wait for their partition to have an owner that answers.
    #[must_use]
    pub fn publish_queue_bytes(&self) -> usize {
        self.core.lines.waiting_bytes()
    }

    /// Goes through the channels that have local subscribers. `look` sees the subscribers of each, and the position up to
    /// which it has been delivered, where it keeps a stream and that is known; it is called under the channel's lock and must be
    /// short. What it gives goes to `visit`. Takes as long as there are channels: not for a thread that serves connections.
    pub fn visit_channels<R>(
        &self,
        look: impl Fn(&A::Members, Option<&Position>) -> R,
        visit: impl FnMut(&ChannelName, R),
    ) {
        self.core.channels.visit(look, visit);
    }

    /// Ends all tasks and closes all shards. What still waits gets an error; later calls fail.
    pub async fn shutdown(&self) {
        self.core.shutdown.cancel();
        self.core.tasks.close();
        self.core.tasks.wait().await;
        self.core.opened.close();
    }
}

impl<A: Audience> ShardSource for Router<A> {
    fn shard(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        let opened = self.core.open(shard, url)?;
        Ok(Arc::clone(&opened.shard))
    }

    fn open_apart(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        self.core.factory.open(shard, url, Arc::new(events::Unheard))
    }
}

impl<A: Audience> Core<A> {
    fn topology(&self) -> Option<Arc<Topology>> {
        self.routes.load().topology.clone()
    }

    /// Runs `task` until it ends or the router does.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let task = async move {
            shutdown.run_until_cancelled(task).await;
        };
        self.tasks.spawn_on(task, &self.runtime);
    }
}
