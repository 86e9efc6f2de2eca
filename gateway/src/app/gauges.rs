//! What is looked up for the metrics.

use std::sync::Arc;

use super::gateway::ClientRouter;
use super::readiness::STATUSES;
use crate::connection::host::Host;
use crate::exporter::{Snapshot, Text};
use crate::http::{Readiness, ReadyReport};

/// Asks the parts.
pub(super) struct Gauges {
    pub(super) readiness: Arc<dyn Readiness>,
    pub(super) router: Arc<ClientRouter>,
    pub(super) host: Arc<Host>,
}

impl Snapshot for Gauges {
    fn write(&self, text: &mut Text) {
        let report = self.readiness.report();
        text.gauge(
            "campanile_ready",
            "Whether this gateway says that it is ready (1) or not (0)",
        )
        .value(one_if(report.ready));
        text.gauge(
            "campanile_complete",
            "Whether this gateway reaches everything (1) or not (0)",
        )
        .value(one_if(report.complete));
        text.gauge(
            "campanile_store_reachable",
            "Whether the topology store answered this gateway lately (1) or not (0)",
        )
        .value(one_if(report.store.reachable));
        write_shards(text, &report);
        text.gauge(
            "campanile_connections_leaving",
            "Connections whose clients have gone and whose sockets are closed by turns",
        )
        .value(self.host.admission.leaving() as f64);
        self.write_queues(text);
    }
}

impl Gauges {
    fn write_queues(&self, text: &mut Text) {
        let (mut all, mut largest) = (0_u64, 0);
        self.host.registry.for_each(|connection| {
            let waiting = connection.waiting_bytes();
            all += u64::from(waiting);
            largest = waiting.max(largest);
        });
        text.gauge("campanile_client_queue_bytes", "What waits to be sent to clients")
            .value(all as f64);
        text.gauge(
            "campanile_client_queue_largest_bytes",
            "What waits to be sent to the client for whom most does",
        )
        .value(f64::from(largest));
        text.gauge(
            "campanile_publish_queue_bytes",
            "Publications that wait for a shard to take them",
        )
        .value(self.router.publish_queue_bytes() as f64);
    }
}

fn write_shards(text: &mut Text, report: &ReadyReport) {
    let mut states = text.gauge(
        "campanile_shard_state",
        "Whether a shard is in this state (1) or not (0), as this gateway sees it",
    );
    for shard in &report.shards {
        for status in STATUSES {
            let labels = [("shard", &*shard.name), ("state", status)];
            states.sample(&labels, one_if(shard.status == status));
        }
    }
    let mut partitions = text.gauge(
        "campanile_shard_partitions",
        "Partitions that the topology gives a shard",
    );
    for shard in &report.shards {
        partitions.sample(&[("shard", &*shard.name)], shard.partitions as f64);
    }
}

fn one_if(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
