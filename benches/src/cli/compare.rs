//! What to compare with.

use clap::Args;

use crate::Failure;
use crate::compare::Side;

/// Another server under the same load, in turns.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comparison")]
pub(super) struct CompareArguments {
    /// Run the same on another server in turns, A B A B: a URL, `stack:FILE` for a local stack of another gateway's program, or
    /// `bare`, the least that fan-out can cost
    #[arg(long, value_name = "SERVER")]
    compare: Option<String>,
    /// How often each of both is measured
    #[arg(long, value_name = "N", default_value_t = 3, requires = "compare")]
    rounds: usize,
    /// Base of the other server's HTTP API
    #[arg(long, value_name = "URL", requires = "compare")]
    compare_api: Option<String>,
    /// Key of the other server's HTTP API, where it is another
    #[arg(
        long,
        value_name = "KEY",
        env = "CAMPANILE_BENCH_COMPARE_API_KEY",
        hide_env_values = true
    )]
    compare_api_key: Option<String>,
}

impl CompareArguments {
    /// The other server, if one was named, and how many rounds.
    pub(super) fn comparison(&self) -> Result<Option<(Side, usize)>, Failure> {
        let Some(with) = &self.compare else {
            return Ok(None);
        };
        let mut side: Side = with.parse()?;
        if let Side::Server(server) = &mut side {
            server.api.clone_from(&self.compare_api);
            server.api_key.clone_from(&self.compare_api_key);
        }
        Ok(Some((side, self.rounds.max(1))))
    }
}
