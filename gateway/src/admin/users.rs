//! Users: closing their connections.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use campanile_common::DisconnectCode;
use serde::Deserialize;
use serde_json::json;

use super::error::{Answer, Failure};
use super::{Admin, Operator};
use crate::cluster::{Answer as Told, Command, Target};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    user: String,
}

/// Closes every connection of a user; they are told not to come back.
pub(super) async fn disconnect(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Answer {
    let named: Option<Named> = serde_json::from_slice(&body).ok();
    let user = named.map(|named| named.user).filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Failure::new(StatusCode::BAD_REQUEST, "a user is expected"))?;
    let command = Command::Disconnect {
        target: Target {
            user: user.clone(),
            ..Target::default()
        },
        code: DisconnectCode::ForceDisconnect.code(),
        reason: DisconnectCode::ForceDisconnect.reason().to_owned(),
    };
    let Operator { session, peer } = operator;
    let answers = admin.parts.cluster.ask(command).await;
    // Some gateways may have done it all the same.
    let answers = answers.inspect_err(|why| {
        tracing::info!(session, %peer, ?user, %why, "an operator's disconnecting of a user failed");
    })?;
    let closed: usize = answers.values().map(closed).sum();
    tracing::info!(session, %peer, ?user, closed, "an operator has disconnected a user");
    Ok(Json(json!({ "connections": closed })).into_response())
}

fn closed(answer: &Told) -> usize {
    match answer {
        Told::Done { connections } => *connections,
        _ => 0,
    }
}
