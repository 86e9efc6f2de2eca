//! What the manifests say of a gateway's pod.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::manifests::Manifests;
use campanile_tests::wait::eventually;
use serde_json::Value;

use super::PATIENCE;

/// Where a gateway is asked how it is, and how long it may take to end.
pub(crate) struct Pod {
    startup: String,
    liveness: String,
    pub(crate) readiness: String,
    pub(crate) grace: Duration,
}

impl Pod {
    pub(crate) fn of_a_gateway() -> Result<Self> {
        let manifests = Manifests::overlay("production")?;
        let gateway = manifests.workload("campanile-gateway")?;
        let container = gateway.container()?;
        let path = |probe: &str| {
            let path = container[probe]["httpGet"]["path"].as_str();
            path.map(str::to_owned).with_context(|| format!("no {probe}"))
        };
        let grace = gateway.pod()["terminationGracePeriodSeconds"].as_u64();
        // A hook would have to be run as well.
        assert_eq!(container["lifecycle"], Value::Null);
        Ok(Self {
            startup: path("startupProbe")?,
            liveness: path("livenessProbe")?,
            readiness: path("readinessProbe")?,
            grace: Duration::from_secs(grace.context("a grace period")?),
        })
    }

    /// Starts one and waits until all of its probes succeed.
    pub(crate) async fn start(&self, config: &GatewayConfig) -> Result<Gateway> {
        let gateway = Gateway::launch(config).await?;
        for path in [&self.startup, &self.liveness, &self.readiness] {
            eventually(format!("{path} is 200"), PATIENCE, || async {
                gateway.get(path).await.is_ok_and(|(status, _)| status == 200)
            })
            .await;
        }
        Ok(gateway)
    }
}
