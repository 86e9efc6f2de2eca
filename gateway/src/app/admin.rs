//! The administration page, where it is configured.

use std::sync::Arc;

use super::gateway::{ClientApi, Gateway};
use crate::admin::{Admin, AdminParts, AdminRouters, Meters};
use crate::config::{Config, InternalTls};

/// The page on both ports; which of them serves it is decided where all endpoints are.
pub(super) fn routers(config: &Config, gateway: &Gateway, api: &Arc<ClientApi>) -> AdminRouters {
    let meters = Meters::register();
    let Some(options) = &config.admin else {
        return AdminRouters::default();
    };
    let shards = gateway.shards();
    let parts = AdminParts {
        channels: Arc::clone(api) as _,
        cluster: Arc::clone(&shards.cluster),
        shards,
        readiness: gateway.readiness(),
        clock: gateway.clock(),
    };
    let admin = Admin::new(options, parts, meters);
    AdminRouters {
        public: admin.routes(config.tls.public),
        internal: admin.routes(config.tls.internal != InternalTls::Off),
    }
}
