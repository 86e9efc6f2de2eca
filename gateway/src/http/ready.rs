//! Readiness: whether clients may come, and what this gateway can reach.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::cluster::TopologyInfo;

/// Who knows what can be reached.
pub trait Readiness: Send + Sync + 'static {
    /// The truth at this moment.
    fn report(&self) -> ReadyReport;
}

/// What `/ready` says.
#[derive(Clone, Debug, Serialize)]
pub struct ReadyReport {
    /// Whether clients may come: it has started, and is not about to end.
    pub ready: bool,
    /// Whether a topology is applied and everything is reachable. What is missing fails for its own channels alone, at every
    /// gateway, so it is no reason to send clients elsewhere.
    pub complete: bool,
    /// Whether this gateway has yet to find its way to the topology and, for a moment, to the shards.
    pub starting: bool,
    /// This gateway's name.
    pub gateway: String,
    /// Whether this gateway is about to end.
    pub shutting_down: bool,
    /// The version of the topology that is applied; `None`: none yet.
    pub generation: Option<u64>,
    /// The same topology in numbers.
    pub topology: Option<TopologyInfo>,
    /// The topology store.
    pub store: StoreReport,
    /// The shards, by name.
    pub shards: Vec<ShardReport>,
    /// The names of those that cannot be used.
    pub missing: Vec<String>,
    /// What else is wrong, in words.
    pub problems: Vec<String>,
    /// What operators should know although everything works, in words.
    pub notes: Vec<String>,
}

/// Whether the topology store answers.
#[derive(Clone, Debug, Serialize)]
pub struct StoreReport {
    /// Whether it answered lately.
    pub reachable: bool,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether a shard can be used.
#[derive(Clone, Debug, Serialize)]
pub struct ShardReport {
    /// Its name.
    pub name: String,
    /// Where it is, without credentials.
    pub address: String,
    /// Its part in the deployment: `active`, `draining`, `leaving` or `lost`.
    pub state: &'static str,
    /// `connected`, `opening` (connected, but not all of its partitions are open there yet), `untrusted` (another run than
    /// the topology's answers), `unreachable`, or `lost`: given up, and nobody tries.
    pub status: &'static str,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many partitions it owns.
    pub partitions: usize,
}

pub(super) async fn handler(State(readiness): State<Arc<dyn Readiness>>) -> Response {
    let report = readiness.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}
