//! The server API of the gateways, for what a scenario asks beside its load: shards, history, metrics.

use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::measure::scrape::Counters;
use crate::target::Target;

/// How long a gateway may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks gateways.
#[derive(Clone, Debug)]
pub struct Admin {
    client: reqwest::Client,
    apis: Vec<String>,
    key: String,
}

impl Admin {
    /// Of the target's gateways.
    pub fn new(target: &Target) -> Result<Self, Failure> {
        if target.apis.is_empty() {
            return Err(Failure::usage(
                "this scenario needs the HTTP API: name it with --api",
            ));
        }
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let apis = target.apis.iter().map(|url| url.trim_end_matches('/').to_owned());
        Ok(Self {
            client: client.map_err(|error| Failure::run(error.to_string()))?,
            apis: apis.collect(),
            key: target.api_key.clone(),
        })
    }

    /// How many gateways it knows.
    #[must_use]
    pub fn gateways(&self) -> usize {
        self.apis.len()
    }

    /// Calls a method at the first gateway that answers; its result. What the gateway refuses is a failure.
    pub async fn call(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let mut last = Failure::run("no gateway");
        for api in &self.apis {
            match self.post(&format!("{api}/{method}"), params).await {
                Ok(body) => return result(method, &body),
                Err(error) => last = Failure::run(error.to_string()),
            }
        }
        Err(last)
    }

    async fn post(&self, url: &str, params: &Value) -> reqwest::Result<Vec<u8>> {
        let request = self.client.post(url).header("X-API-Key", &self.key);
        let request = request.header("Content-Type", "application/json");
        let answer = request.body(params.to_string()).send().await?;
        Ok(answer.bytes().await?.into())
    }

    /// What all gateways that answer have counted together.
    pub async fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for api in &self.apis {
            if let Ok(counters) = Counters::fetch(&metrics_url(api)).await {
                sum.merge(counters);
            }
        }
        sum
    }

    /// The index of the gateway that coordinates.
    pub async fn leader(&self) -> Result<usize, Failure> {
        for (index, api) in self.apis.iter().enumerate() {
            let answer = self.client.get(metrics_url(api)).send().await;
            let text = match answer {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(_) => continue,
            };
            if text.lines().any(|line| line == "campanile_coordinator_leading 1") {
                return Ok(index);
            }
        }
        Err(Failure::run("no gateway coordinates"))
    }
}

fn metrics_url(api: &str) -> String {
    format!("{}/metrics", api.trim_end_matches("/api"))
}

fn result(method: &str, body: &[u8]) -> Result<Value, Failure> {
    let mut answer: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::run(format!("{method}: the answer is no JSON: {error}")))?;
    match answer.get("error") {
        // A batch has its replies beside where others have their result.
        None | Some(Value::Null) => Ok(match answer.get_mut("result") {
            Some(result) => result.take(),
            None => answer,
        }),
        Some(error) => Err(Failure::run(format!(
            "{method} was refused: {}",
            error["message"].as_str().unwrap_or_default()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_gateway_refuses_is_a_failure() {
        assert_eq!(result("m", br#"{"result":{"a":1}}"#), Ok(json!({"a": 1})));
        let refused = result("m", br#"{"error":{"code":1,"message":"no"}}"#);
        assert_eq!(refused, Err(Failure::run("m was refused: no")));
        assert!(result("m", b"").is_err());
    }
}
