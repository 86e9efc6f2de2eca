//! Which partitions are on their way, as the gateways say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile_shard_router::partition::Partition;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::admin::Admin;

/// How often the gateways are asked: a batch moves for some hundred milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const PARTITIONS: usize = Partition::COUNT as usize;

/// Which partitions are moving, as far as is known.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Moving {
    flags: Arc<[AtomicBool]>,
}

/// Keeps a [`Moving`] up to date until it is dropped.
#[derive(Debug)]
pub(in crate::scenario) struct Lookout(JoinHandle<()>);

impl Moving {
    /// Nothing moves.
    pub(in crate::scenario) fn new() -> Self {
        let flags = (0..PARTITIONS).map(|_| AtomicBool::new(false)).collect();
        Self { flags }
    }

    /// Whether a partition is on its way now.
    pub(in crate::scenario) fn is_moving(&self, partition: Partition) -> bool {
        self.flags[partition.index()].load(Ordering::Relaxed)
    }

    /// Asks from now on.
    pub(in crate::scenario) fn watch(&self, admin: Admin) -> Lookout {
        let this = self.clone();
        Lookout(tokio::spawn(async move {
            loop {
                let asked = json!({ "partitions": true });
                if let Ok(status) = admin.call("shards/status", &asked).await {
                    let moving = status["partitions"]["moving"].as_array().into_iter().flatten();
                    this.show(moving.filter_map(|one| one[0].as_u64()));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }

    fn show(&self, moving: impl Iterator<Item = u64>) {
        let mut now = [false; PARTITIONS];
        for partition in moving.filter_map(|number| usize::try_from(number).ok()) {
            if let Some(flag) = now.get_mut(partition) {
                *flag = true;
            }
        }
        for (flag, now) in self.flags.iter().zip(now) {
            flag.store(now, Ordering::Relaxed);
        }
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_moves_no_more() {
        let moving = Moving::new();
        let shown = |index| moving.is_moving(Partition::from_index(index).unwrap());
        moving.show([3, 4095, 4096].into_iter());
        assert!(shown(3) && shown(4095) && !shown(4));
        moving.show([4].into_iter());
        assert!(!shown(3) && shown(4));
    }
}
