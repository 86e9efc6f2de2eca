//! `batch`: several calls in one.

use std::collections::BTreeMap;
use std::iter;

use campanile_common::ErrorCode;
use campanile_shard_router::audience::Audience;
use futures_util::stream::{self, StreamExt as _};
use serde_json::value::RawValue;

use super::method::parse;
use super::{Api, ApiError, Method, params};

/// Calls of one batch that are under way together, where order allows it: they come to the shards together, and so in one write. A
/// quarter of what may wait for one partition while that is moving, so that there is room for others.
const TOGETHER: usize = 256;

/// Calls of one batch at most: the shortest that there are, and their answers, would take a hundred times the memory of the request.
const MAX_CALLS: usize = 10_000;

/// A call: the method's name and its parameters.
type Call = BTreeMap<String, Box<RawValue>>;

/// The answer to one call: the method's name and result, or `error` and what went wrong.
type Reply = BTreeMap<&'static str, Box<RawValue>>;

impl<A: Audience> Api<A> {
    /// Answers each call in order; a failed one does not keep the others from being made.
    ///
    /// Calls are made one after another, unless the caller allows otherwise. Publications to one channel in a row need not wait for
    /// each other's answers, because those of one partition keep the order in which they are begun.
    pub(super) async fn batch(&self, params: &[u8]) -> Result<Vec<Reply>, ApiError> {
        let params::Batch { commands, parallel } = parse(params)?;
        if commands.len() > MAX_CALLS {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let mut replies = Vec::with_capacity(commands.len());
        let mut rest = commands.into_iter().peekable();
        while let Some(first) = rest.next() {
            let channel = published_to(&first);
            let joins = |next: &Call| parallel || channel.is_some() && published_to(next) == channel;
            let others = iter::from_fn(|| rest.next_if(joins)).take(TOGETHER - 1);
            let calls = stream::iter(iter::once(first).chain(others)).map(|call| self.reply(call));
            replies.extend(calls.buffered(TOGETHER).collect::<Vec<_>>().await);
        }
        Ok(replies)
    }

    async fn reply(&self, call: Call) -> Reply {
        match self.call_one(call).await {
            Ok((method, result)) => BTreeMap::from([(method.name(), result)]),
            Err(error) => {
                let error = serde_json::value::to_raw_value(&error).expect("a number and a text are JSON");
                BTreeMap::from([("error", error)])
            }
        }
    }

    async fn call_one(&self, mut call: Call) -> Result<(Method, Box<RawValue>), ApiError> {
        let (Some((name, params)), None) = (call.pop_first(), call.pop_first()) else {
            return Err(ErrorCode::BadRequest.into());
        };
        let method = Method::named(&name).ok_or(ErrorCode::MethodNotFound)?;
        let result = self.call(method, params.get().as_bytes()).await?;
        Ok((method, result))
    }
}

/// The channel that a call publishes to, if it does nothing else.
fn published_to(call: &Call) -> Option<String> {
    let (name, params) = call.first_key_value()?;
    let publishes = call.len() == 1 && name == Method::Publish.name();
    let channel = || serde_json::from_str::<params::Channel>(params.get()).ok();
    publishes.then(channel)?.map(|params| params.channel)
}
