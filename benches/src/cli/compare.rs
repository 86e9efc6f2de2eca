//! What to compare with.

use clap::Args;

use super::target::{TargetArguments, api, pair, watched};
use crate::Failure;
use crate::compare::Side;
use crate::execute::Order;
use crate::scenario::Scenario;
use crate::target::Target;

/// Another server under the same load, in turns.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comparison")]
pub(super) struct CompareArguments {
    /// Run the same on another server in turns, A B A B: a URL, `stack:FILE` for a local stack of another gateway's program, or
    /// `bare`, the least that fan-out can cost; `bare:N` joins up to N messages that wait in one write
    #[arg(long, value_name = "SERVER")]
    compare: Option<String>,
    /// How often each of both is measured
    #[arg(long, value_name = "N", default_value_t = 3, requires = "compare")]
    rounds: u16,
    /// Base of the other server's HTTP API, as in --api
    #[arg(long, value_name = "URL", requires = "compare")]
    compare_api: Option<String>,
    /// Key of the other server's HTTP API [default: that of --api-key]
    #[arg(
        long,
        value_name = "KEY",
        env = "CAMPANILE_BENCH_COMPARE_API_KEY",
        hide_env_values = true
    )]
    compare_api_key: Option<String>,
    /// SHA-256 of the certificate that the other server shows, in hex
    #[arg(long, value_name = "HASH", requires = "compare")]
    compare_certificate: Option<String>,
    /// Metrics of a gateway of the other server
    #[arg(long, value_name = "URL", requires = "compare")]
    compare_metrics: Vec<String>,
    /// A process of the other server on this machine, as in --pid
    #[arg(long, value_name = "NAME=PID", value_parser = pair, requires = "compare")]
    compare_pid: Vec<(String, String)>,
}

impl CompareArguments {
    /// Whether the other server runs already, and goes on when the comparison is over.
    pub(super) fn names_a_server(&self) -> bool {
        self.compare.as_ref().is_some_and(|with| with.contains("://"))
    }

    /// The other server, if one was named, and how many rounds. What is not its own it has in common with the first one.
    pub(super) fn comparison(
        &self,
        scenario: &dyn Scenario,
        order: &Order,
        target: &TargetArguments,
    ) -> Result<Option<(Side, usize)>, Failure> {
        let Some(with) = &self.compare else {
            return Ok(None);
        };
        if self.rounds == 0 {
            return Err(Failure::usage("--rounds must be more than 0"));
        }
        let mut side: Side = with.parse()?;
        match &mut side {
            Side::Server(server) => **server = self.server(&server.urls, target)?,
            _ if self.describes_a_server() => {
                return Err(Failure::usage(format!(
                    "--compare {with} is started for the comparison: it has no --compare-... of its own"
                )));
            }
            _ => {}
        }
        side.check(scenario, order)?;
        Ok(Some((side, self.rounds.into())))
    }

    fn describes_a_server(&self) -> bool {
        self.compare_api.is_some()
            || self.compare_certificate.is_some()
            || !self.compare_metrics.is_empty()
            || !self.compare_pid.is_empty()
    }

    fn server(&self, urls: &[String], target: &TargetArguments) -> Result<Target, Failure> {
        let common = target.common();
        Ok(Target {
            urls: urls.to_vec(),
            apis: self
                .compare_api
                .iter()
                .map(|url| api(url))
                .collect::<Result<_, _>>()?,
            api_key: self.compare_api_key.clone().unwrap_or(common.api_key),
            certificate: self.compare_certificate.clone(),
            metrics: self.compare_metrics.clone(),
            processes: self.compare_pid.iter().map(watched).collect::<Result<_, _>>()?,
            ..common
        })
    }
}
