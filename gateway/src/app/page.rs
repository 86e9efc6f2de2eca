//! The page, where it is configured.

use axum::Router;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::options::SecretKey;
use crate::http::{DemoTokens, page};

/// The page, with tokens only for visitors on this machine, to a gateway that is nobody else's.
pub(super) fn routes(config: &Config, clock: Clock) -> Router {
    if !config.http.page {
        return Router::new();
    }
    let is_own = config.http.public.ip().is_loopback();
    let demo = config.demo.as_ref().filter(|_| is_own);
    let key = demo.and_then(|demo| SecretKey::new(demo.token_secret.as_bytes()));
    page(key.map(|key| DemoTokens { key, clock }))
}
