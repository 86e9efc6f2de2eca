//! `batch`: several calls in one.

use std::collections::BTreeMap;

use campanile_common::ErrorCode;
use campanile_shard_router::audience::Audience;
use futures_util::stream::{self, StreamExt as _};
use serde_json::value::RawValue;

use super::method::parse;
use super::{Api, ApiError, Method, params};

/// Calls of one batch under way at a time, where the caller allows it.
const CONCURRENCY: usize = 64;

/// The answer to one call: the method's name and result, or `error` and what went wrong.
type Reply = BTreeMap<&'static str, Box<RawValue>>;

impl<A: Audience> Api<A> {
    /// Answers each call in order; a failed one does not keep the others from being made.
    pub(super) async fn batch(&self, params: &[u8]) -> Result<Vec<Reply>, ApiError> {
        let params::Batch { commands, parallel } = parse(params)?;
        let calls = commands.into_iter().map(|command| self.reply(command));
        let at_once = if parallel { CONCURRENCY } else { 1 };
        Ok(stream::iter(calls).buffered(at_once).collect().await)
    }

    async fn reply(&self, command: BTreeMap<String, Box<RawValue>>) -> Reply {
        match self.call_one(command).await {
            Ok((method, result)) => BTreeMap::from([(method.name(), result)]),
            Err(error) => {
                let error = serde_json::value::to_raw_value(&error).expect("a number and a text are JSON");
                BTreeMap::from([("error", error)])
            }
        }
    }

    async fn call_one(
        &self,
        mut command: BTreeMap<String, Box<RawValue>>,
    ) -> Result<(Method, Box<RawValue>), ApiError> {
        let (Some((name, params)), None) = (command.pop_first(), command.pop_first()) else {
            return Err(ErrorCode::BadRequest.into());
        };
        let method = Method::named(&name).ok_or(ErrorCode::MethodNotFound)?;
        let result = self.call(method, params.get().as_bytes()).await?;
        Ok((method, result))
    }
}
