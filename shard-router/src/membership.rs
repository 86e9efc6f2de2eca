//! Membership: this gateway's registration in the store, and the topologies it may serve by.
//!
//! A gateway registers *before* it reads the topology: from then on whoever moves a partition waits for it. What it
//! serves is what it has read after registering. A registration that has expired while the store was there means that
//! others may have gone on without this gateway: it joins anew, and what it held from before counts for nothing. A store
//! that cannot be reached means nothing of the kind (every gateway may be in that state): the gateway goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::store::{GatewayId, GatewayReport, TopologyStore};
use crate::topology::{Generation, ShardId, Topology};

mod driver;

#[cfg(test)]
mod tests;

use driver::Driver;

/// What a gateway may serve by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// How often this gateway has joined; 0 until it first has. When it grows, the gateway had expired: Pub/Sub
    /// connections are made anew, held-back messages and recent windows dropped, positions verified.
    pub joined: u64,
    /// The latest topology, read after joining; `None` in an empty store. Its generation never goes back.
    pub topology: Option<Arc<Topology>>,
}

/// A gateway's membership, from [`Membership::join`] to [`Membership::leave`].
pub struct Membership {
    store: Arc<dyn TopologyStore>,
    gateway: GatewayId,
    views: watch::Receiver<View>,
    report: watch::Sender<Report>,
    problem: Arc<Mutex<Option<String>>>,
    driver: JoinHandle<()>,
}

/// What a gateway says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Report {
    /// In which membership it has applied what it says.
    joined: u64,
    content: GatewayReport,
}

impl Membership {
    /// Registers `gateway`, keeps it registered, and follows the topology, in a task of its own. Needs a runtime.
    #[must_use]
    pub fn join(store: Arc<dyn TopologyStore>, gateway: GatewayId) -> Self {
        let (publish, views) = watch::channel(View::default());
        let (report, reports) = watch::channel(Report::default());
        let problem = Arc::default();
        let driver = Driver::new(
            Arc::clone(&store),
            gateway.clone(),
            publish,
            reports,
            Arc::clone(&problem),
        );
        Self {
            store,
            gateway,
            views,
            report,
            problem,
            driver: tokio::spawn(driver.run()),
        }
    }

    /// What to serve by, as it changes.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<View> {
        self.views.clone()
    }

    /// Says that this gateway serves by the topology of `generation`, which it got when it had joined `joined` times.
    /// What is said of an earlier membership is ignored.
    pub fn applied(&self, joined: u64, generation: Generation) {
        self.report.send_if_modified(|report| {
            let news = (report.joined, report.content.applied) != (joined, generation);
            let news = news && joined >= report.joined;
            if news {
                report.joined = joined;
                report.content.applied = generation;
            }
            news
        });
    }

    /// Says what the next acknowledgement waits for, in words, and which shards this gateway cannot reach. Told with the
    /// next heartbeat; what is new is told soon.
    pub fn report(&self, obstacle: Option<String>, unreachable: BTreeSet<ShardId>) {
        self.report.send_if_modified(|report| {
            let content = GatewayReport {
                applied: report.content.applied,
                obstacle,
                unreachable,
            };
            let content = content.bounded();
            let news = report.content != content;
            report.content = content;
            news
        });
    }

    /// Whether the store answers and what it holds is understood; in words where not.
    ///
    /// # Errors
    ///
    /// What is wrong, for people.
    pub fn status(&self) -> Result<(), String> {
        self.store.status()?;
        self.problem.lock().clone().map_or(Ok(()), Err)
    }

    /// Ends the membership and takes the gateway off the registry, if the store can be reached.
    pub async fn leave(mut self) {
        self.driver.abort();
        // Awaited, so that no refresh of the registration comes after its end. The only error is having been aborted.
        let _ = (&mut self.driver).await;
        if let Err(error) = self.store.deregister(&self.gateway).await {
            debug!(%error, "the registration is left to expire");
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
