//! What the process serves and how it ends: validated.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::options::SecretKey;
use super::raw::{self, Raw};
use super::report::Report;

/// The path of the liveness endpoint that no configuration moves.
pub const LIVE: &str = "/live";

/// The path of the readiness endpoint.
pub const READY: &str = "/ready";

/// The key of the path at which liveness is served as well.
const HEALTH: &str = "health.handler_prefix";

/// Where to listen, and what is served where.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// For clients; port 0: any free one.
    pub public: SocketAddr,
    /// For API, metrics, health and readiness, which then are not on `public`.
    pub internal: Option<SocketAddr>,
    /// Serves the API on `public` although there is `internal`.
    pub api_is_public: bool,
    /// Serves the administration page, if there is one, on `public` although there is `internal`.
    pub admin_is_public: bool,
    /// Path of the liveness endpoint; `None`: not served.
    pub health: Option<String>,
    /// Path of the metrics; `None`: not served.
    pub metrics: Option<String>,
    /// Whether the page is served at `/`.
    pub page: bool,
}

/// What to log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Nothing less important than this.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// The server API.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// What the methods' paths begin with; no slash at the end.
    pub prefix: String,
    /// Who may call.
    pub access: ApiAccess,
    /// How errors are answered.
    pub error_mode: ErrorMode,
    /// Longest request body in bytes.
    pub body_limit: usize,
}

/// Who may call the API.
#[derive(Clone, PartialEq, Eq)]
pub enum ApiAccess {
    /// Who presents this key.
    Key(SecretKey),
    /// Everybody.
    Anybody,
    /// Nobody, because no key is configured.
    Nobody,
}

impl fmt::Debug for ApiAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::Anybody => "Anybody",
            Self::Nobody => "Nobody",
        })
    }
}

/// How the API answers errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorMode {
    /// Status 200 and an `error` object.
    #[default]
    Body,
    /// The error's HTTP status.
    Transport,
}

/// The WebSocket endpoint.
#[derive(Clone, Debug)]
pub struct WebSocketOptions {
    /// Its path.
    pub path: String,
    /// Longest message of a client in bytes.
    pub message_size_limit: usize,
    /// How long a connection may take no bytes while some wait.
    pub write_timeout: Duration,
}

/// The WebTransport endpoint.
#[derive(Clone, Debug)]
pub struct WebTransportOptions {
    /// Its path.
    pub path: String,
    /// Longest message of a client in bytes.
    pub message_size_limit: usize,
}

/// How the gateway ends.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownOptions {
    /// The end comes after this long at the latest; the other two are part of it.
    pub timeout: Duration,
    /// For this long it only says that it is not ready.
    pub delay: Duration,
    /// Then clients are told to go elsewhere, in batches over this long.
    pub spread: Duration,
}

pub(super) fn http(raw: &Raw, report: &mut Report) -> Option<HttpOptions> {
    let server = &raw.http_server;
    let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = ip("http_server.address", &server.address, anywhere, report)?;
    let internal_address = ip(
        "http_server.internal_address",
        &server.internal_address,
        address,
        report,
    )?;
    let public = SocketAddr::new(address, server.port);
    let internal = SocketAddr::new(internal_address, server.internal_port);
    let options = HttpOptions {
        public,
        internal: (server.internal_port != 0 && internal != public).then_some(internal),
        api_is_public: raw.http_api.external,
        admin_is_public: raw.admin.external,
        health: raw.health.enabled.then(|| raw.health.handler_prefix.clone()),
        metrics: raw
            .prometheus
            .enabled
            .then(|| raw.prometheus.handler_prefix.clone()),
        page: raw.page.enabled,
    };
    distinct_paths(raw, &options, report);
    Some(options)
}

pub(super) fn ip(key: &str, text: &str, default: IpAddr, report: &mut Report) -> Option<IpAddr> {
    match text {
        "" => Some(default),
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text.parse().map_or_else(
            |_| {
                report.error(format!(
                    "{key}: {text:?} is not an IP address; leave it empty to listen on all interfaces"
                ));
                None
            },
            Some,
        ),
    }
}

/// Two endpoints on one path would hide each other.
fn distinct_paths(raw: &Raw, options: &HttpOptions, report: &mut Report) {
    let websocket = (!raw.websocket.disabled).then(|| raw.websocket.handler_prefix.clone());
    let endpoints = [
        ("websocket.handler_prefix", websocket),
        ("prometheus.handler_prefix", options.metrics.clone()),
        (HEALTH, options.health.clone()),
    ];
    // `/live` is another name of the liveness endpoint, which may have that path, too.
    let is_live = |(key, path): &(&str, Option<String>)| *key == HEALTH && path.as_deref() == Some(LIVE);
    let mut taken = vec![READY.to_owned(), LIVE.to_owned()];
    if options.page {
        let page = [
            "",
            "demo/token",
            "demo/certificate",
            "demo/shards/status",
            "demo/shards/add",
            "demo/shards/drain",
            "demo/shards/remove",
        ];
        taken.extend(page.map(|path| format!("/{path}")));
    }
    for (key, path) in endpoints.into_iter().filter(|endpoint| !is_live(endpoint)) {
        let Some(path) = path else { continue };
        check_path(key, &path, report);
        if taken.contains(&path) {
            report.error(format!(
                "{key}: {path:?} is the path of another endpoint; write another one"
            ));
        }
        taken.push(path);
    }
}

pub(super) fn check_path(key: &str, path: &str, report: &mut Report) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(plain) {
        report.error(format!(
            "{key}: {path:?} is not a path; write one that begins with a slash, such as \"/a/b\""
        ));
    }
}

pub(super) fn log(raw: &raw::Log, report: &mut Report) -> Option<LogOptions> {
    let level = match raw.level.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" | "" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        "none" => LevelFilter::OFF,
        other => {
            report.error(format!(
                "log.level: {other:?} is none; write trace, debug, info, warn, error or none"
            ));
            return None;
        }
    };
    let format = match raw.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            report.error(format!("log.format: {other:?} is none; write text or json"));
            return None;
        }
    };
    Some(LogOptions { level, format })
}

pub(super) fn api(raw: &raw::HttpApi, report: &mut Report) -> Option<ApiOptions> {
    if raw.disabled {
        return None;
    }
    let prefix = raw.handler_prefix.trim_end_matches('/').to_owned();
    if !prefix.is_empty() {
        check_path("http_api.handler_prefix", &prefix, report);
    }
    let access = match SecretKey::new(raw.key.as_bytes()) {
        _ if raw.insecure => {
            report.security("http_api.insecure: everybody who reaches the API may call it");
            ApiAccess::Anybody
        }
        Some(key) => ApiAccess::Key(key),
        None => {
            report.warning(
                "http_api.key: not set, so nobody may call the API; `campanile genconfig` makes one",
            );
            ApiAccess::Nobody
        }
    };
    let error_mode = match raw.error_mode.as_str() {
        "" => ErrorMode::Body,
        "transport" => ErrorMode::Transport,
        other => {
            report.error(format!(
                "http_api.error_mode: {other:?} is none; write transport, or leave it empty"
            ));
            ErrorMode::Body
        }
    };
    Some(ApiOptions {
        prefix,
        access,
        error_mode,
        body_limit: raw.max_request_body_size as usize,
    })
}

pub(super) fn websocket(raw: &raw::WebSocket, report: &mut Report) -> Option<WebSocketOptions> {
    if raw.disabled {
        return None;
    }
    if raw.message_size_limit == 0 {
        report.error("websocket.message_size_limit: 0 lets no message in; write bytes, such as 65536");
    }
    if raw.write_timeout.is_zero() {
        report.error("websocket.write_timeout: 0s closes every connection; write a duration, such as \"1s\"");
    }
    Some(WebSocketOptions {
        path: raw.handler_prefix.clone(),
        message_size_limit: raw.message_size_limit as usize,
        write_timeout: raw.write_timeout.get(),
    })
}

pub(super) fn webtransport(raw: &Raw, report: &mut Report) -> Option<WebTransportOptions> {
    let webtransport = &raw.webtransport;
    if !webtransport.enabled {
        return None;
    }
    if !raw.quic.enabled {
        report
            .error("webtransport.enabled: it is served on the port of QUIC, which is off; set quic.enabled");
    }
    check_path(
        "webtransport.handler_prefix",
        &webtransport.handler_prefix,
        report,
    );
    if webtransport.message_size_limit == 0 {
        report.error("webtransport.message_size_limit: 0 lets no message in; write bytes, such as 65536");
    }
    Some(WebTransportOptions {
        path: webtransport.handler_prefix.clone(),
        message_size_limit: webtransport.message_size_limit as usize,
    })
}

pub(super) fn shutdown(raw: &raw::Shutdown, report: &mut Report) -> ShutdownOptions {
    if raw.delay.saturating_add(raw.spread.get()) > raw.timeout.get() {
        report.error(format!(
            "shutdown.spread: {} after a shutdown.delay of {} is longer than shutdown.timeout, {}; write shorter ones",
            raw.spread, raw.delay, raw.timeout
        ));
    }
    ShutdownOptions {
        timeout: raw.timeout.get(),
        delay: raw.delay.get(),
        spread: raw.spread.get(),
    }
}
