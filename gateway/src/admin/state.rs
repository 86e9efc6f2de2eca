//! What the page shows all the time: shards, moves, gateways, and what is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::IntoResponse as _;
use campanile_shard_router::store::GatewayId;
use serde::{Deserialize, Serialize};

use super::error::{Answer, Failure};
use super::{Admin, Gateways};
use crate::cluster::{Answer as Told, Command, NodeInfo};
use crate::http::ReadyReport;
use crate::shards::StatusQuery;
use crate::shards::report::Status;

/// What the page has already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    /// The generation whose partitions it shows.
    since: u64,
}

#[derive(Serialize)]
struct Report {
    /// Milliseconds since 1970, by this gateway's clock.
    now: u64,
    /// What this gateway can reach.
    readiness: ReadyReport,
    /// The shards, and what moves; nothing before there is a topology.
    shards: Option<Status>,
    /// What each shard holds; those that do not say are missing.
    loads: BTreeMap<String, Load>,
    /// Every gateway that answered; nothing where they could not be asked.
    gateways: Option<Vec<NodeInfo>>,
    /// The names of those that did not.
    silent: Vec<String>,
    /// Why they could not be asked, in words.
    trouble: Option<String>,
}

/// What a shard holds, and does.
#[derive(Serialize)]
struct Load {
    /// Bytes of memory.
    bytes: u64,
    /// Keys, or channels where there are no keys.
    keys: u64,
    /// Commands a second, lately; nothing where that is not counted.
    operations: Option<u64>,
}

pub(super) async fn state(State(admin): State<Arc<Admin>>, Query(seen): Query<Seen>) -> Answer {
    let query = StatusQuery {
        partitions: true,
        since: seen.since,
    };
    let parts = &admin.parts;
    let (shards, loads, gateways) = tokio::join!(parts.shards.status(query), admin.loads(), admin.gateways());
    let (gateways, trouble) = match gateways {
        Ok(gateways) => (Some(gateways), None),
        Err(failure) => (None, Some(failure.to_string())),
    };
    let silent = gateways.iter().flat_map(|gateways| &gateways.silent);
    let report = Report {
        now: parts.clock.now().as_millis(),
        readiness: parts.readiness.report(),
        shards: shards.ok(),
        loads,
        silent: silent.map(name).collect(),
        gateways: gateways.map(|gateways| gateways.nodes),
        trouble,
    };
    Ok(Json(report).into_response())
}

impl Admin {
    async fn loads(&self) -> BTreeMap<String, Load> {
        let asked = async { Ok(self.parts.shards.view.usage().await) };
        let Ok(usage) = self.loads.get((), asked).await;
        let load = usage.into_iter().map(|(id, usage)| {
            let load = Load {
                bytes: usage.bytes,
                keys: usage.keys,
                operations: usage.operations,
            };
            (id.to_string(), load)
        });
        load.collect()
    }

    async fn gateways(&self) -> Result<Gateways, Failure> {
        let asked = async {
            let (answers, silent) = self.parts.cluster.gather(Command::Info).await?;
            let nodes = answers.into_values().filter_map(|answer| match answer {
                Told::Info(node) => Some(node),
                _ => None,
            });
            Ok(Gateways {
                nodes: nodes.collect(),
                silent,
            })
        };
        self.gateways.get((), asked).await
    }
}

fn name(gateway: &GatewayId) -> String {
    gateway.0.to_string()
}
