//! What the commands have in common that ask a gateway through its API.

use std::fmt;
use std::future::Future;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime;

use super::Exit;
use super::caller::{CallError, Caller};
use super::output::{fail, give_up, say};
use super::trust::TrustArguments;

/// Which gateway to ask, and how to answer.
#[derive(Args)]
pub(super) struct ApiArguments {
    /// A gateway of the deployment; a path stands for that of its API
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CAMPANILE_URL",
        default_value = "http://127.0.0.1:8000"
    )]
    pub(super) url: String,
    /// The key of its API
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "CAMPANILE_HTTP_API_KEY",
        hide_env_values = true
    )]
    pub(super) api_key: Option<String>,
    #[command(flatten)]
    trust: TrustArguments,
    /// Answer with JSON, for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// The answer makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the gateway's answer is not understood; is it of another release?")]
pub(super) struct Puzzling(#[from] serde_json::Error);

impl ApiArguments {
    /// What calls the API.
    pub(super) fn caller(&self) -> Result<Caller, CallError> {
        let trust = self.trust.options().map_err(CallError::Trust)?;
        Caller::new(&self.url, self.api_key.clone(), &trust)
    }

    /// Calls a method and prints its result: with `--json` as it came, else as `text` makes it.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
        text: impl FnOnce(T) -> String,
    ) -> Exit {
        let called = block_on(self.json, async { self.caller()?.call(method, params).await });
        let answer = match called {
            Err(exit) => return exit,
            Ok(Err(error)) => return fail(error.exit(), self.json, error.code(), &error.to_string()),
            Ok(Ok(answer)) => answer,
        };
        if self.json {
            say(answer.get());
            return Exit::Success;
        }
        match serde_json::from_str(answer.get()).map_err(Puzzling) {
            Err(error) => fail(Exit::Failure, false, None, &error.to_string()),
            Ok(result) => {
                say(text(result).trim_end());
                Exit::Success
            }
        }
    }
}

// The key is nobody's business.
impl fmt::Debug for ApiArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiArguments")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Waits for `future` on a runtime of its own.
pub(super) fn block_on<F: Future>(json: bool, future: F) -> Result<F::Output, Exit> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| give_up(&format!("cannot start: {error}"), json))?;
    Ok(runtime.block_on(future))
}
