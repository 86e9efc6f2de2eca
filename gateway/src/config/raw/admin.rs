//! The administration page.

use std::fmt;

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use super::super::describe::section;

section! {
    /// `admin`: the administration page. There is none without a password.
    #[derive(Clone, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Admin {
        /// Whether it is served, if there is a password.
        pub enabled: bool,
        /// Where it is served.
        pub handler_prefix: String,
        /// What whoever logs in must know, 10 bytes or more; empty: there is no page.
        pub password: String,
        /// Signs sessions, 16 bytes or more: with the same one, a session holds on every gateway and outlives restarts. Empty:
        /// made up at the start.
        pub secret: String,
        /// How long a session lasts.
        pub session_ttl: HumanDuration,
        /// Serves the page on the clients' port although there is an internal one.
        pub external: bool,
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: true,
            handler_prefix: "/admin".to_owned(),
            password: String::new(),
            secret: String::new(),
            session_ttl: HumanDuration::from_secs(12 * 60 * 60),
            external: false,
        }
    }
}

/// Shows no secret.
impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admin(enabled: {}, …)", self.enabled)
    }
}
