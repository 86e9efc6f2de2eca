//! Changing which shards there are: first the plan, then the change that the plan was of.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Answer;
use super::{Admin, Operator};
use crate::shards::{Change, Refusal, parse};

/// A change after its plan was seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmed {
    /// That of the plan.
    generation: u64,
    /// As it was planned.
    change: Box<RawValue>,
}

/// What a change would move. Changes nothing.
pub(super) async fn plan(State(admin): State<Arc<Admin>>, body: Bytes) -> Answer {
    let change = Change::hypothetical(&body)?;
    Ok(Json(admin.parts.shards.plan(change).await?).into_response())
}

/// Makes a change whose plan was seen. Not if the topology has changed since: then another plan would be carried out.
pub(super) async fn change(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Answer {
    let Confirmed { generation, change } = parse(&body)?;
    let change = Change::hypothetical(change.get().as_bytes())?;
    let change = change.ok_or_else(|| Refusal::nonsense("say which change"))?;
    let (command, shard) = (change.command(), change.shard().to_owned());
    let Operator { session, peer } = operator;
    let decided = admin.parts.shards.confirm(change, generation).await;
    // It may have been made all the same, if the store did not say.
    let plan = decided.inspect_err(|why| {
        tracing::info!(session, %peer, command, shard, %why, "an operator's change of the shards failed");
    })?;
    let (generation, moving) = (plan.generation, plan.partitions);
    tracing::info!(session, %peer, command, shard, generation, moving, "an operator has changed the shards");
    Ok(Json(plan).into_response())
}
