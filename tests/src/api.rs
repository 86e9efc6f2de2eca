//! The HTTP server API.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::wait::SOON;

/// An error that the API answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The protocol's code.
    pub code: u64,
    /// Its text.
    pub message: String,
}

/// A client of one gateway's API.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    /// The API at `base`, such as `http://127.0.0.1:8000`, with this key.
    pub fn new(base: &str, key: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            key: key.to_owned(),
        }
    }

    /// The raw response of a method: HTTP status and body.
    pub async fn post(&self, method: &str, body: impl Into<String>) -> Result<(u16, String)> {
        let response = self
            .http
            .post(format!("{}/api/{method}", self.base))
            .header("X-API-Key", &self.key)
            .header("Content-Type", "application/json")
            .body(body.into())
            .timeout(SOON)
            .send()
            .await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Calls a method: its result, or the error it answered with.
    ///
    /// # Errors
    /// The outer error is for an API that did not answer as an API does.
    pub async fn try_call(&self, method: &str, params: &Value) -> Result<Result<Value, ApiError>> {
        let (status, body) = self.post(method, params.to_string()).await?;
        ensure!(status == 200, "{method} answered {status}: {body}");
        let reply: Value =
            serde_json::from_str(&body).with_context(|| format!("{method} answered {body}"))?;
        if let Some(error) = reply.get("error") {
            return Ok(Err(ApiError {
                code: error["code"].as_u64().context("an error without a code")?,
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }));
        }
        Ok(Ok(reply.get("result").cloned().unwrap_or(reply)))
    }

    /// Calls a method that must succeed.
    pub async fn call(&self, method: &str, params: &Value) -> Result<Value> {
        let result = self.try_call(method, params).await?;
        result.map_err(|error| anyhow::anyhow!("{method} answered error {}: {}", error.code, error.message))
    }

    /// Publishes, and gives the offset and epoch of the publication in its stream.
    pub async fn publish(&self, channel: &str, data: &Value) -> Result<(u64, String)> {
        let result = self
            .call("publish", &json!({ "channel": channel, "data": data }))
            .await?;
        Ok((
            result["offset"].as_u64().unwrap_or_default(),
            result["epoch"].as_str().unwrap_or_default().to_owned(),
        ))
    }

    /// The partitions that each shard owns, unless something moves.
    pub async fn shares(&self) -> Result<Option<BTreeMap<String, u64>>> {
        let status = self.call("shards/status", &json!({})).await?;
        if !status["moves"].is_null() {
            return Ok(None);
        }
        let shards = status["shards"].as_array().context("a list of shards")?;
        let share = |shard: &Value| Some((shard["name"].as_str()?.to_owned(), shard["partitions"].as_u64()?));
        let shares = shards.iter().map(|shard| share(shard).context("a shard"));
        shares.collect::<Result<_>>().map(Some)
    }

    /// The data of a channel's whole history, oldest first.
    pub async fn history(&self, channel: &str) -> Result<Vec<Value>> {
        let result = self
            .call("history", &json!({ "channel": channel, "limit": -1 }))
            .await?;
        let publications = result["publications"].as_array().cloned().unwrap_or_default();
        Ok(publications
            .into_iter()
            .map(|publication| publication["data"].clone())
            .collect())
    }

    /// The client ids present in a channel, sorted.
    pub async fn presence(&self, channel: &str) -> Result<Vec<String>> {
        let result = self.call("presence", &json!({ "channel": channel })).await?;
        let mut clients: Vec<String> = result["presence"]
            .as_object()
            .map(|it| it.keys().cloned().collect())
            .unwrap_or_default();
        clients.sort();
        Ok(clients)
    }
}
