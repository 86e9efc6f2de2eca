//! The page, where it is configured.

use axum::Router;

use super::gateway::Gateway;
use crate::config::Config;
use crate::config::options::SecretKey;
use crate::http::{Demo, page};
use crate::tls::Certificates;

/// The page, with something to do without a key only for visitors on this machine, at a gateway that is nobody else's.
pub(super) fn routes(config: &Config, gateway: &Gateway, certificates: Option<&Certificates>) -> Router {
    if !config.http.page {
        return Router::new();
    }
    let is_own = config.http.public.ip().is_loopback();
    let demo = config.demo.as_ref().filter(|_| is_own);
    let key = demo.and_then(|demo| SecretKey::new(demo.token_secret.as_bytes()));
    let demo = key.map(|key| Demo::new(key, gateway.clock(), gateway.shards()));
    page(demo, certificates.filter(|it| it.is_generated()).cloned())
}
