//! The administration page: validated.

use std::time::Duration;

use super::options::SecretKey;
use super::raw::{self, Raw};
use super::report::Report;
use super::server::check_path;
use super::shards::ShardsOptions;

/// A password of fewer bytes can be found out by trying, however slowly.
const SHORT_PASSWORD: usize = 10;

/// A secret of fewer bytes can be found out by trying, from a single session.
const SHORT_SECRET: usize = 16;

/// A shorter session ends before anybody has done anything in it.
const LEAST_SESSION: Duration = Duration::from_secs(1);

/// Browsers forget cookies after this long (RFC 6265bis).
const MOST_SESSION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The administration page.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// What its paths begin with; no slash at the end.
    pub prefix: String,
    /// What whoever logs in must know.
    pub password: SecretKey,
    /// What signs sessions; `None`: to be made up.
    pub secret: Option<SecretKey>,
    /// How long a session lasts.
    pub session_ttl: Duration,
}

pub(super) fn admin(raw: &Raw, shards: &ShardsOptions, report: &mut Report) -> Option<AdminOptions> {
    let admin = &raw.admin;
    let password = SecretKey::new(admin.password.as_bytes()).filter(|_| admin.enabled)?;
    let prefix = prefix(admin);
    check_path("admin.handler_prefix", &prefix, report);
    check_neighbours(raw, &prefix, report);
    check_secrets(admin, shards, report);
    let session_ttl = admin.session_ttl.get();
    if !(LEAST_SESSION..=MOST_SESSION).contains(&session_ttl) {
        report.error(format!(
            "admin.session_ttl: {} is no time for a session; write 1s to 9600h, such as \"12h\"",
            admin.session_ttl
        ));
    }
    Some(AdminOptions {
        prefix,
        password,
        secret: SecretKey::new(admin.secret.as_bytes()),
        session_ttl,
    })
}

/// Centrifugo's file may have an empty one, which means the root there; here the root has another page.
fn prefix(admin: &raw::Admin) -> String {
    match admin.handler_prefix.trim_end_matches('/') {
        "" => raw::Admin::default().handler_prefix,
        prefix => prefix.to_owned(),
    }
}

/// No other endpoint may be among the page's paths, nor the page among those of a prefix.
fn check_neighbours(raw: &Raw, prefix: &str, report: &mut Report) {
    let endpoints = [
        ("websocket.handler_prefix", &raw.websocket.handler_prefix),
        ("prometheus.handler_prefix", &raw.prometheus.handler_prefix),
        ("health.handler_prefix", &raw.health.handler_prefix),
        ("http_api.handler_prefix", &raw.http_api.handler_prefix),
    ];
    for (key, path) in endpoints {
        if is_within(path, prefix) {
            report.error(format!(
                "admin.handler_prefix: {prefix:?} is taken by {key}, {path:?}; write another one"
            ));
        }
    }
    let api = raw.http_api.handler_prefix.trim_end_matches('/');
    let among_methods = !api.is_empty() && api != prefix && is_within(prefix, api);
    for taken in ["/ready", "/live", "/demo"] {
        if is_within(taken, prefix) || is_within(prefix, taken) {
            report.error(format!(
                "admin.handler_prefix: {prefix:?} is the path of another endpoint; write another one"
            ));
        }
    }
    if among_methods {
        report.error(format!(
            "admin.handler_prefix: {prefix:?} is among the methods of the API, {api:?}; write another one"
        ));
    }
}

fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_secrets(admin: &raw::Admin, shards: &ShardsOptions, report: &mut Report) {
    if admin.password.len() < SHORT_PASSWORD {
        report.error(format!(
            "admin.password: a password this short can be found out by trying; write {SHORT_PASSWORD} bytes or more"
        ));
    }
    // Shards on Redis are there to be shared: a gateway that has its own in its process is alone.
    if admin.secret.is_empty() && matches!(shards, ShardsOptions::Redis(_)) {
        report.warning(
            "admin.secret: not set; a session of the administration page then holds on the gateway where it began, until \
             that restarts: with several gateways, write the same 16 bytes or more in the configuration of each",
        );
    }
    if !admin.secret.is_empty() && admin.secret.len() < SHORT_SECRET {
        report.security(format!(
            "admin.secret: a secret this short can be found out by trying; write {SHORT_SECRET} bytes or more"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::shards::EmbeddedShards;
    use super::*;

    /// What is said about a page with this secret.
    fn said(secret: &str, shards: &ShardsOptions) -> Vec<String> {
        let mut raw = Raw::default();
        raw.admin.password = "a long enough password".to_owned();
        raw.admin.secret = secret.to_owned();
        let mut report = Report::default();
        assert!(admin(&raw, shards, &mut report).is_some());
        let findings = report.findings().iter();
        findings.map(|finding| finding.text.clone()).collect()
    }

    #[test]
    fn sessions_that_hold_on_one_gateway_of_several_are_warned_about() {
        let alone = ShardsOptions::Embedded(EmbeddedShards {
            count: 1,
            max_bytes: 1 << 20,
        });
        let several = ShardsOptions::Redis(Vec::new());
        let warned = said("", &several);
        assert!(
            matches!(&*warned, [one] if one.starts_with("admin.secret: not set; a session")),
            "{warned:?}"
        );
        assert_eq!(said("sixteen bytes and more", &several), [""; 0]);
        assert_eq!(said("", &alone), [""; 0]);
    }
}
