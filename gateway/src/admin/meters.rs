//! What is counted about the page.

use metrics::{Counter, counter, describe_counter};

/// What is counted about the page. Registered whether there is one or not, so that its names are always there.
pub struct Meters {
    /// Sessions begun.
    pub(super) logged_in: Counter,
    /// Wrong passwords.
    pub(super) wrong_password: Counter,
    /// Attempts to log in that came too fast to be looked at.
    pub(super) too_often: Counter,
    /// Calls without a session, or after its end.
    pub(super) no_session: Counter,
    /// Calls that another site's page may have made.
    pub(super) cross_site: Counter,
}

impl Meters {
    /// Registers them.
    #[must_use]
    pub fn register() -> Self {
        describe_counter!(
            "campanile_admin_logins_total",
            "Attempts to log in to the administration page"
        );
        describe_counter!(
            "campanile_admin_refused_total",
            "Calls of the administration page that were refused"
        );
        let login = |outcome: &'static str| counter!("campanile_admin_logins_total", "outcome" => outcome);
        let refused = |reason: &'static str| counter!("campanile_admin_refused_total", "reason" => reason);
        Self {
            logged_in: login("succeeded"),
            wrong_password: login("wrong_password"),
            too_often: login("too_often"),
            no_session: refused("no_session"),
            cross_site: refused("cross_site"),
        }
    }
}
