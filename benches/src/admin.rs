//! The server API of the gateways, for what a scenario asks beside its load: shards, history, metrics.

use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::measure::scrape::{self, Counters, Readings};
use crate::target::{Api, Target};

/// How long a gateway may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks gateways.
#[derive(Clone, Debug)]
pub struct Admin {
    client: reqwest::Client,
    apis: Vec<Api>,
    /// Where the gateways tell their metrics, in the same order.
    metrics: Vec<String>,
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
        let apis = target.apis.iter().map(|url| url.parse());
        let apis: Vec<Api> = apis.collect::<Result<_, _>>()?;
        Ok(Self {
            client: client.map_err(|error| Failure::run(error.to_string()))?,
            metrics: match target.metrics.as_slice() {
                [] => apis.iter().map(Api::metrics).collect(),
                known => known.to_vec(),
            },
            apis,
            key: target.api_key.clone(),
        })
    }

    /// Calls a method at the first gateway that answers; its result. What the gateway refuses is a failure.
    pub async fn call(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let mut last = Failure::run("no gateway");
        for api in &self.apis {
            match self.post(&api.method(method), params).await {
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

    /// What each gateway that answers has counted.
    pub async fn counters(&self) -> Readings {
        let mut readings = Readings::default();
        for url in &self.metrics {
            readings.0.push(Counters::fetch(url).await.ok());
        }
        readings
    }

    /// The index of the gateway that coordinates.
    pub async fn leader(&self) -> Result<usize, Failure> {
        for (index, url) in self.metrics.iter().enumerate() {
            let text = scrape::text(url).await.unwrap_or_default();
            if text.lines().any(|line| line == "campanile_coordinator_leading 1") {
                return Ok(index);
            }
        }
        Err(Failure::run("no gateway coordinates"))
    }
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
