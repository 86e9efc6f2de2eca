//! Changing which shards there are: first the plan, then the change that the plan was of.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Admin;
use super::error::{Answer, Failure};
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
pub(super) async fn change(State(admin): State<Arc<Admin>>, body: Bytes) -> Answer {
    let Confirmed { generation, change } = parse(&body)?;
    let change = Change::hypothetical(change.get().as_bytes())?;
    let change = change.ok_or_else(|| Refusal::nonsense("say which change"))?;
    let shards = &admin.parts.shards;
    if shards.plan(None).await?.generation != generation {
        return Err(Failure::new(
            StatusCode::PRECONDITION_FAILED,
            "the shards have changed since this plan was made",
        ));
    }
    Ok(Json(shards.change(change).await?).into_response())
}
