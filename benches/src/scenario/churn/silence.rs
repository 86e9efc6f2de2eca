//! Clients that fall silent: a server that pings has to notice.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::run::Run;

/// How often a server must ping for a visit to wait until it has noticed who is silent.
const OFTEN: Duration = Duration::from_secs(5);

/// How often it is looked how many it has noticed.
const LOOK: Duration = Duration::from_millis(20);

/// What the clients of a wave know of their server's pings, and how many of them it has given up.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Milliseconds between pings; 0: no answers are wanted.
    pings: AtomicU64,
    noticed: AtomicUsize,
}

impl Silence {
    /// How often the server pings and wants an answer, if it does.
    pub(super) fn answers_are_wanted(&self, pings: Option<Duration>) {
        let pings = u64::try_from(pings.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        self.pings.store(pings, Ordering::Relaxed);
    }

    /// The server has ended the connection of one who did not answer.
    pub(super) fn was_noticed(&self) {
        self.noticed.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until so many were noticed, as long as some pings and the plan's `settle` take; whether the server was to notice
    /// them at all.
    pub(super) async fn wait(&self, run: &Run, silent: usize) -> bool {
        let pings = Duration::from_millis(self.pings.load(Ordering::Relaxed));
        if silent == 0 {
            return false;
        }
        if pings.is_zero() || pings > OFTEN {
            let often = match pings.as_secs() {
                0 => "wants no answers to pings".to_owned(),
                seconds => format!("pings every {seconds} s"),
            };
            run.unseen(format!(
                "whether clients that fall silent are noticed, for the server {often}; from one that pings every \
                 {} s or more often (client.ping_interval) that is expected",
                OFTEN.as_secs()
            ));
            return false;
        }
        // The next ping, and the answer that does not come, which must be awaited for less than until the next one.
        let patience = 2 * pings + run.plan().load.settle;
        let all = async {
            while self.noticed.load(Ordering::Relaxed) < silent {
                sleep(LOOK).await;
            }
        };
        // Who has not been noticed by then is found still connected.
        let _ = timeout(patience, all).await;
        true
    }
}
