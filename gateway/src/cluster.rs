//! Commands that concern the whole cluster: each live gateway carries them out and says so, before the caller is
//! answered.
//!
//! ```text
//! ask ─ broadcast ─▶ topology store ─▶ every gateway: carries it out ─ answer ─▶ store ─▶ whoever asked
//! ```
//!
//! The store promises delivery only to those that listen at that moment, so the asker counts: it takes the list of live
//! gateways, asks, and waits for an answer of each. One that does not answer in time is named, unless it has left the
//! list meanwhile. A gateway on its own is a cluster of one; nothing is different there.
//!
//! * `message`: what gateways say to each other, versioned.
//! * `local`: what a gateway does with its own connections.
//! * `pending`: who waits for which answers.
//! * `survey`: which channels are the largest and the busiest; `selection`: how they are found.
//! * `walks`: what takes a look at all channels, and waits for its turn.

mod local;
mod message;
mod pending;
mod selection;
mod survey;
mod walks;

#[cfg(test)]
mod tests;

pub use local::{LocalGateway, Target};
pub use message::{
    Answer, ChannelCounts, Command, Leading, NodeInfo, Progress, Refresh, Subscription, TopologyInfo,
};
pub use survey::{ChannelSample, Standing, Survey};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_shard_router::store::{GatewayId, StoreError, TopologyStore};
use metrics::{Counter, counter, describe_counter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use local::Task;
use message::Envelope;
use pending::{Pending, Waiting};
use walks::{Walks, Wanted};

/// The answers of all live gateways.
pub type Answers = BTreeMap<GatewayId, Answer>;

/// Why a command was not carried out by all. It may have been by some.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The list of gateways cannot be read, or they cannot be reached.
    #[error("the other gateways cannot be reached")]
    Store(#[from] StoreError),
    /// Some did not answer in time.
    #[error("no answer in time from {}", names(.0))]
    Unanswered(BTreeSet<GatewayId>),
    /// Too many commands wait for answers.
    #[error("too many commands are under way")]
    Overloaded,
}

/// How long an answer of the gateway that coordinates is waited for. Whoever asks has the topology to fall back on.
const LEADER_PATIENCE: Duration = Duration::from_secs(1);

/// This gateway's part in the cluster.
pub struct Cluster {
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
    walker: JoinHandle<()>,
}

struct Shared {
    gateway: GatewayId,
    store: Arc<dyn TopologyStore>,
    local: Arc<dyn LocalGateway>,
    pending: Pending,
    walks: Walks,
    timeout: Duration,
    unanswered: Counter,
    unreadable: Counter,
}

impl Cluster {
    /// Begins to listen to the other gateways, and to carry out on `local` what they ask for. To be called when this
    /// gateway registers: who is on the list is expected to answer. The store need not be reachable yet.
    #[must_use]
    pub fn join(
        gateway: GatewayId,
        store: Arc<dyn TopologyStore>,
        local: Arc<dyn LocalGateway>,
        timeout: Duration,
    ) -> Self {
        describe_counter!(
            "campanile_cluster_unanswered_total",
            "Commands to the whole cluster that some gateway did not answer in time"
        );
        describe_counter!(
            "campanile_cluster_unreadable_total",
            "Messages of other gateways that were not understood; another release may have sent them"
        );
        let (walks, wanted) = Walks::new();
        let shared = Arc::new(Shared {
            gateway,
            store,
            local,
            pending: Pending::default(),
            walks,
            timeout,
            unanswered: counter!("campanile_cluster_unanswered_total"),
            unreadable: counter!("campanile_cluster_unreadable_total"),
        });
        Self {
            listener: tokio::spawn(listen(Arc::clone(&shared))),
            walker: tokio::spawn(walks::take_all(Arc::clone(&shared), wanted)),
            shared,
        }
    }

    /// Has `command` carried out by every live gateway, this one included.
    pub async fn ask(&self, command: Command) -> Result<Answers, ClusterError> {
        let (answers, silent) = self.gather(command).await?;
        if silent.is_empty() {
            Ok(answers)
        } else {
            Err(ClusterError::Unanswered(silent))
        }
    }

    /// The same for who can use the answers of some: with the live gateways that did not answer in time.
    pub async fn gather(&self, command: Command) -> Result<(Answers, BTreeSet<GatewayId>), ClusterError> {
        let shared = &self.shared;
        let deadline = Instant::now() + shared.timeout;
        let gathered = timeout_at(deadline, shared.ask(command, deadline)).await;
        let gathered = gathered.unwrap_or_else(|_| {
            let error = StoreError::Unavailable("no answer in time".to_owned());
            Err(error.into())
        });
        if matches!(&gathered, Ok((_, silent)) if !silent.is_empty()) {
            shared.unanswered.increment(1);
        }
        gathered
    }

    /// What the gateway that coordinates says; `None`: at this moment none does, or it cannot be asked.
    pub async fn leading(&self) -> Option<Leading> {
        if let Some(leading) = self.shared.local.leading() {
            return Some(leading);
        }
        timeout(LEADER_PATIENCE, self.shared.ask_leader()).await.ok()?
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.listener.abort();
        self.walker.abort();
    }
}

impl Shared {
    /// The answers that come, and those whose do not.
    async fn ask(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<(Answers, BTreeSet<GatewayId>), ClusterError> {
        let mut waiting = self.pending.begin().ok_or(ClusterError::Overloaded)?;
        let mut expected = self.live().await?;
        let request = Envelope::Request {
            id: waiting.id(),
            from: self.gateway.clone(),
            command,
        };
        self.store.broadcast(request.encode()).await?;
        // Leaves time to look at the list again.
        let patience = deadline - self.timeout / 8;
        let answers = collect(&mut waiting, &mut expected, patience).await;
        if !expected.is_empty() {
            let still_live = self.live().await?;
            expected.retain(|gateway| still_live.contains(gateway));
        }
        Ok((answers, expected))
    }

    /// Asks everyone, since nobody keeps a list of who coordinates, and takes the first answer of one that does.
    async fn ask_leader(&self) -> Option<Leading> {
        let mut waiting = self.pending.begin()?;
        let request = Envelope::Request {
            id: waiting.id(),
            from: self.gateway.clone(),
            command: Command::Lead,
        };
        self.store.broadcast(request.encode()).await.ok()?;
        loop {
            if let (_, Answer::Lead(Some(leading))) = waiting.next().await? {
                return Some(leading);
            }
        }
    }

    /// Everyone who is to answer; this gateway also when its registration has just expired.
    async fn live(&self) -> Result<BTreeSet<GatewayId>, StoreError> {
        let registered = self.store.gateways().await?;
        let ids = registered.into_iter().map(|(gateway, _)| gateway);
        Ok(ids.chain([self.gateway.clone()]).collect())
    }

    async fn receive(&self, message: &[u8]) {
        match Envelope::decode(message) {
            Ok(Envelope::Request { id, from, command }) => match local::carry_out(&*self.local, command) {
                Task::Quick(answer) => {
                    let answer = Envelope::Answer {
                        id,
                        from: self.gateway.clone(),
                        answer,
                    };
                    self.answer(&from, answer.encode()).await;
                }
                Task::Walk(walk) => self.walks.add(Wanted { id, from, walk }),
            },
            Ok(Envelope::Answer { id, from, answer }) => self.pending.resolve(id, from, answer),
            Err(error) => {
                self.unreadable.increment(1);
                tracing::warn!(%error, "a message of another gateway is not understood");
            }
        }
    }

    async fn answer(&self, to: &GatewayId, answer: Bytes) {
        if let Err(error) = self.store.send(to, answer).await {
            tracing::warn!(to = %to.0, %error, "cannot answer another gateway");
        }
    }
}

/// Gathers answers until everyone expected has answered, or time is up; `expected` keeps those who have not.
async fn collect(waiting: &mut Waiting, expected: &mut BTreeSet<GatewayId>, deadline: Instant) -> Answers {
    let mut answers = Answers::new();
    while !expected.is_empty() {
        let Ok(Some((gateway, answer))) = timeout_at(deadline, waiting.next()).await else {
            break;
        };
        expected.remove(&gateway);
        answers.insert(gateway, answer);
    }
    answers
}

/// How long to wait before trying to listen again.
const LISTEN_PAUSE: Duration = Duration::from_millis(500);

async fn listen(shared: Arc<Shared>) {
    loop {
        match shared.store.listen(&shared.gateway).await {
            Ok(mut messages) => serve(&shared, &mut messages).await,
            Err(error) => tracing::debug!(%error, "cannot listen to the other gateways yet"),
        }
        tokio::time::sleep(LISTEN_PAUSE).await;
    }
}

async fn serve(shared: &Shared, messages: &mut mpsc::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        shared.receive(&message).await;
    }
}

fn names(gateways: &BTreeSet<GatewayId>) -> String {
    let names: Vec<&str> = gateways.iter().map(|gateway| gateway.0.as_ref()).collect();
    names.join(", ")
}
