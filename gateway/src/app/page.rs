//! The page, where it is configured.

use std::sync::Arc;

use axum::Router;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::options::SecretKey;
use crate::http::{Demo, page};
use crate::shards::ShardAdmin;

/// The page, with something to do without a key only for visitors on this machine, at a gateway that is nobody else's.
pub(super) fn routes(config: &Config, clock: Clock, shards: Arc<ShardAdmin>) -> Router {
    if !config.http.page {
        return Router::new();
    }
    let is_own = config.http.public.ip().is_loopback();
    let demo = config.demo.as_ref().filter(|_| is_own);
    let key = demo.and_then(|demo| SecretKey::new(demo.token_secret.as_bytes()));
    page(key.map(|key| Demo::new(key, clock, shards)))
}
