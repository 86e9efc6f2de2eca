//! Tokens that the application supplies when they are needed.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use crate::protocol::NoToken;

/// Why there is no token. Any error becomes one with `?`; then the client tries again later.
pub struct TokenError(NoToken);

impl TokenError {
    /// The user may not do this, now or later: the client, or the subscription, gives up.
    #[must_use]
    pub const fn unauthorized() -> Self {
        Self(NoToken::Unauthorized)
    }

    /// There is no token for the moment.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(NoToken::Failed(Arc::from(error.into())))
    }
}

/// It is no `std::error::Error` itself, because then not every error could become one.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for TokenError {
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where tokens come from. Each call makes a future that is dropped when its token is no longer wanted.
pub(crate) type TokenSource = Arc<dyn Fn() -> BoxFuture<'static, Result<String, NoToken>> + Send + Sync>;

/// Takes in an application's function.
pub(crate) fn source<F, T>(fetch: F) -> TokenSource
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<String, TokenError>> + Send + 'static,
{
    Arc::new(move || {
        fetch()
            .map(|answer| answer.map_err(|TokenError(why)| why))
            .boxed()
    })
}
