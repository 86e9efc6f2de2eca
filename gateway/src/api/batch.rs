//! `batch`: several calls in one.

mod call;

use std::iter;

use campanile_common::ErrorCode;
use campanile_shard_router::audience::Audience;
use futures_util::stream::{self, StreamExt as _};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

pub(super) use call::Calls;

use self::call::Call;
use super::method::parse;
use super::{Api, ApiError, Method, params};

/// Calls of one batch that are under way together, where order allows it: they come to the shards together, and so in one write. A
/// quarter of what may wait for one partition while that is moving, so that there is room for others.
const TOGETHER: usize = 256;

/// The answer to one call: the method's name and result, or `error` and what went wrong.
pub(super) struct Reply(&'static str, Box<RawValue>);

impl<A: Audience> Api<A> {
    /// Answers each call in order; a failed one does not keep the others from being made.
    ///
    /// Calls are made one after another, unless the caller allows otherwise. Publications to one channel in a row need not wait for
    /// each other's answers, because those of one partition keep the order in which they are begun.
    pub(super) async fn batch(&self, params: &[u8]) -> Result<Vec<Reply>, ApiError> {
        let params::Batch { commands, parallel } = parse(params)?;
        let Calls::All(calls) = commands else {
            return Err(ErrorCode::LimitExceeded.into());
        };
        let mut replies = Vec::with_capacity(calls.len());
        let with_channel = |call: Call| {
            let channel = if parallel { None } else { call.published_to() };
            (channel, call)
        };
        let mut rest = calls.into_iter().map(with_channel).peekable();
        while let Some((channel, first)) = rest.next() {
            let joins =
                |(next, _): &(Option<String>, Call)| parallel || channel.is_some() && *next == channel;
            let others = iter::from_fn(|| rest.next_if(joins)).take(TOGETHER - 1);
            let together = iter::once(first).chain(others.map(|(_, call)| call));
            let calls = stream::iter(together).map(|call| self.reply(call));
            replies.extend(calls.buffered(TOGETHER).collect::<Vec<_>>().await);
        }
        Ok(replies)
    }

    async fn reply(&self, call: Call) -> Reply {
        match self.call_one(call).await {
            Ok((method, result)) => Reply(method.name(), result),
            Err(error) => {
                let error = serde_json::value::to_raw_value(&error).expect("a number and a text are JSON");
                Reply("error", error)
            }
        }
    }

    async fn call_one(&self, call: Call) -> Result<(Method, Box<RawValue>), ApiError> {
        let Call::One { name, params } = call else {
            return Err(ErrorCode::BadRequest.into());
        };
        let method = Method::named(&name).ok_or(ErrorCode::MethodNotFound)?;
        let result = self.call(method, params.get().as_bytes()).await?;
        Ok((method, result))
    }
}

/// An object with the one key.
impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &self.1)?;
        map.end()
    }
}
