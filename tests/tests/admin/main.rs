//! The administration page: who gets in and who does not, what the log says of those who do, and what they see and do in a
//! browser, a reshard from start to end among it.

mod access;
mod browser;
mod caller;
mod trail;
mod watching;

use campanile_tests::gateway::GatewayConfig;

const PASSWORD: &str = "the password of the tests";
const SECRET: &str = "a secret for the sessions of the tests";

fn config() -> GatewayConfig {
    GatewayConfig::default()
        .set("admin.password", PASSWORD)
        .set("admin.secret", SECRET)
}
