//! The task that keeps the registration and follows the topology.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Unit, counter, describe_counter};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{error, info, warn};

use super::{Report, View};
use crate::store::{GatewayId, GatewayReport, REGISTRATION_TTL, StoreError, TopologyStore};
use crate::topology::{Change, Generation, Topology};

/// Refreshed so often that three refreshes in a row may fail.
const HEARTBEAT: Duration = REGISTRATION_TTL.checked_div(4).expect("4 is not 0");

/// How soon what failed is tried again. The store's own deadlines and waits are what spares it.
const RETRY: Duration = Duration::from_millis(250);

/// How soon something else than an acknowledgement is told after what was told before.
const REPORT_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Driver {
    store: Arc<dyn TopologyStore>,
    gateway: GatewayId,
    views: watch::Sender<View>,
    reports: watch::Receiver<Report>,
    /// What was sent last, and when.
    sent: Option<(Report, Instant)>,
    problem: Arc<Mutex<Option<String>>>,
    expirations: Counter,
}

/// The registration is gone.
struct Expired;

impl Driver {
    pub(super) fn new(
        store: Arc<dyn TopologyStore>,
        gateway: GatewayId,
        views: watch::Sender<View>,
        reports: watch::Receiver<Report>,
        problem: Arc<Mutex<Option<String>>>,
    ) -> Self {
        Self {
            store,
            gateway,
            views,
            reports,
            sent: None,
            problem,
            expirations: expirations(),
        }
    }

    /// Joins again and again; ends only by being aborted.
    pub(super) async fn run(mut self) {
        for joined in 1.. {
            self.register().await;
            info!(joined, "registered in the topology store");
            let Expired = self.serve(joined).await;
            warn!("the registration has expired: joining anew");
            self.expirations.increment(1);
        }
    }

    /// Registers as one that has applied nothing yet.
    async fn register(&self) {
        while let Err(error) = self
            .store
            .register(&self.gateway, &GatewayReport::default(), false)
            .await
        {
            self.note(Err(&error));
            sleep(RETRY).await;
        }
    }

    /// Follows the topology and refreshes the registration until it is gone.
    async fn serve(&mut self, joined: u64) -> Expired {
        let mut changes = self.store.changes();
        let mut heartbeats = ticks(HEARTBEAT);
        heartbeats.tick().await;
        let mut retries = ticks(RETRY);
        let mut unread = true;
        let mut untold = None;
        loop {
            if unread {
                changes.mark_unchanged();
                unread = self.read(joined).await.is_err();
            }
            let alive = tokio::select! {
                _ = heartbeats.tick() => self.beat(joined).await,
                Ok(()) = self.reports.changed() => {
                    untold = Some(self.tell_at());
                    Ok(())
                }
                () = sleep_until(untold.unwrap_or_else(Instant::now)), if untold.is_some() => {
                    untold = None;
                    self.beat(joined).await
                }
                Ok(()) = changes.changed() => {
                    unread = true;
                    Ok(())
                }
                _ = retries.tick(), if unread => Ok(()),
            };
            if let Err(expired) = alive {
                return expired;
            }
        }
    }

    /// Refreshes the registration. A store that does not answer says nothing about it.
    async fn beat(&mut self, joined: u64) -> Result<(), Expired> {
        let report = self.reports.borrow_and_update().clone();
        let mut content = report.content.clone();
        if report.joined != joined {
            content.applied = Generation::default();
        }
        self.sent = Some((report, Instant::now()));
        match self.store.register(&self.gateway, &content, true).await {
            Ok(false) => Err(Expired),
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// When what is new is to be told: an acknowledgement at once, others wait for it.
    fn tell_at(&mut self) -> Instant {
        let now = Instant::now();
        let present = self.reports.borrow_and_update();
        match &self.sent {
            Some((sent, at))
                if sent.joined == present.joined && sent.content.applied == present.content.applied =>
            {
                now.max(*at + REPORT_PAUSE)
            }
            _ => now,
        }
    }

    /// Reads the topology and publishes what is new of it.
    async fn read(&self, joined: u64) -> Result<(), StoreError> {
        let read = self.store.read().await;
        self.note(read.as_ref().map(|_| ()));
        let present = self.views.borrow().topology.clone();
        let Some(read) = read? else {
            return self.publish(View {
                joined,
                topology: present,
            });
        };
        if let Some(present) = &present
            && forgotten(present, &read)
        {
            return self.raise(present, &read).await;
        }
        let unchanged = present.filter(|present| present.change_id == read.change_id);
        self.publish(View {
            joined,
            topology: Some(unchanged.unwrap_or_else(|| Arc::new(read))),
        })
    }

    /// The store holds an older document than this gateway has applied: it has lost what it had acknowledged. What it
    /// holds is the truth now, but no gateway goes back: it must carry a higher generation. The change that this makes
    /// is read like any other.
    async fn raise(&self, present: &Topology, stored: &Topology) -> Result<(), StoreError> {
        error!(seen = %present.generation, stored = %stored.generation, "the topology store has gone back");
        let change = Change {
            generation: present.generation.next(),
            id: rand::random(),
        };
        if let Ok(raised) = stored.raised(change) {
            self.store.compare_and_set(Some(stored), &raised).await?;
        }
        Err(StoreError::Unavailable("the topology is being raised".to_owned()))
    }

    fn publish(&self, view: View) -> Result<(), StoreError> {
        self.views.send_if_modified(|present| {
            let news = *present != view;
            *present = view;
            news
        });
        Ok(())
    }

    /// Keeps the present trouble with the store's content for those who ask, and logs it once.
    fn note(&self, result: Result<(), &StoreError>) {
        let problem = result.err().map(ToString::to_string);
        let mut noted = self.problem.lock();
        if *noted == problem {
            return;
        }
        match &problem {
            Some(problem) => warn!(problem, "the topology cannot be read; going on by what is known"),
            None => info!("the topology can be read again"),
        }
        *noted = problem;
    }
}

/// The counter of expired registrations.
fn expirations() -> Counter {
    const NAME: &str = "campanile_registrations_expired_total";
    describe_counter!(
        NAME,
        Unit::Count,
        "Times this gateway found that its registration had expired and joined anew"
    );
    counter!(NAME)
}

/// Whether `read` is not a successor of `present` nor `present` itself.
fn forgotten(present: &Topology, read: &Topology) -> bool {
    let same = present.generation == read.generation && present.change_id == read.change_id;
    read.generation <= present.generation && !same
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
