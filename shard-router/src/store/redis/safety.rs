//! Whether a store behind Sentinel is as safe as it has to be.

use parking_lot::Mutex;
use tracing::warn;

use crate::redis::Replication;

/// What is said of a primary that goes on alone. That a replica which lags far behind does not count cannot be seen from here.
const GOES_ON_ALONE: &str = "the topology store takes writes that no replica has, which a failover loses, and then two \
                             coordinators may act at once: set min-replicas-to-write 1 and min-replicas-max-lag 5 on all its servers";

/// What the store's primaries have said of themselves.
#[derive(Debug, Default)]
pub(super) struct Safety(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    goes_on_alone: bool,
    /// The primary that was warned of last.
    warned_of: Option<String>,
}

impl Safety {
    /// Notes what the server that is called `primary` says. Warns of each that is not safe, once.
    pub(super) fn note(&self, primary: &str, replication: Replication) {
        let mut said = self.0.lock();
        said.goes_on_alone = replication.is_primary && !replication.needs_replicas;
        if said.goes_on_alone && said.warned_of.as_deref() != Some(primary) {
            said.warned_of = Some(primary.to_owned());
            drop(said);
            warn!(primary, "{GOES_ON_ALONE}");
        }
    }

    /// What is not as it should be.
    pub(super) fn notes(&self) -> Vec<String> {
        let alone = self.0.lock().goes_on_alone;
        alone.then(|| GOES_ON_ALONE.to_owned()).into_iter().collect()
    }
}
