//! Channels: the largest and the busiest, one of them in detail, and publishing to one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use campanile_common::ChannelName;
use serde::{Deserialize, Serialize};

use super::error::{Answer, Failure};
use super::{Admin, Operator};
use crate::api::ChannelReport;
use crate::cluster::{Answer as Told, ChannelSample, Command, Survey};

/// Channels listed at most, by either order: as many as anybody reads.
const LISTED: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// What the names must look like; empty: anything.
    pattern: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    channel: String,
}

#[derive(Serialize)]
struct Inspection {
    #[serde(flatten)]
    report: ChannelReport,
    /// The shard that owns the channel's partition; nothing before there is a topology.
    shard: Option<String>,
}

/// The channels with the most subscribers, and those with the most publications.
pub(super) async fn list(State(admin): State<Arc<Admin>>, Query(wanted): Query<Wanted>) -> Answer {
    let Wanted { pattern } = wanted;
    let survey = admin.survey.get(pattern.clone(), admin.ask_all(pattern)).await?;
    Ok(Json(survey).into_response())
}

/// One channel: its stream's latest publications, who is present, where it lives.
pub(super) async fn inspect(State(admin): State<Arc<Admin>>, Query(named): Query<Named>) -> Answer {
    let report = admin.parts.channels.inspect(named.channel).await?;
    let topology = admin.parts.shards.view.topology();
    let state = topology.as_ref().and_then(|topology| {
        let mut states = topology.states();
        states.find(|(partition, _)| partition.index() == report.partition)
    });
    let shard = state.map(|(_, state)| state.owner().to_string());
    Ok(Json(Inspection { report, shard }).into_response())
}

/// Publishes, with the parameters of the server API.
pub(super) async fn publish(
    State(admin): State<Arc<Admin>>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Answer {
    let Named { channel } = serde_json::from_slice(&body).unwrap_or_default();
    let Operator { session, peer } = operator;
    let published = admin.parts.channels.publish(body).await;
    // A shard may have taken it all the same, if it did not say.
    let published = published.inspect_err(|why| {
        tracing::info!(session, %peer, ?channel, why = %why.message, "an operator's publishing failed");
    })?;
    tracing::info!(session, %peer, ?channel, "an operator has published");
    Ok(Json(published).into_response())
}

impl Admin {
    async fn ask_all(&self, pattern: String) -> Result<Survey, Failure> {
        let command = Command::Channels {
            pattern,
            largest: LISTED,
        };
        let (answers, _) = self.parts.cluster.gather(command).await?;
        Ok(Survey::merge(answers.into_values().filter_map(survey), LISTED))
    }
}

/// What a gateway answered. One of an earlier release tells of all its channels, and of no rates.
fn survey(answer: Told) -> Option<Survey> {
    match answer {
        Told::Survey(survey) => Some(survey),
        Told::Channels(counts) => {
            let plain = |(channel, subscribers): (String, usize)| ChannelSample {
                channel: ChannelName::from_trusted(&channel),
                subscribers,
                rate: None,
            };
            Some(Survey {
                total: counts.len(),
                channels: counts.into_iter().map(plain).collect(),
            })
        }
        _ => None,
    }
}
