//! Configuration: from files, environment and flags to what the parts are built from.
//!
//! Three stages, each a type: [`Sources`] are merged into one value; [`raw::Raw`] is that value with every key's type
//! and default, in Centrifugo v6's names; [`Config`] is validated: no value in it needs another look. On the way a
//! [`Report`] collects everything wrong, so that one start shows all of it.
//!
//! A key that nobody knows is an error, because it is a typing mistake. A key that Centrifugo v6 knows and this
//! program does not is named in a warning: a file that was written for Centrifugo starts.

mod admin;
mod bytes;
mod centrifugo;
mod channels;
mod clients;
mod cluster;
mod describe;
mod dns;
pub mod generate;
mod list;
mod mistyped;
pub mod options;
mod place;
mod quic;
pub mod raw;
mod redis;
pub mod reference;
mod report;
mod schema;
mod server;
mod settings;
mod shards;
mod source;
mod tls;

#[cfg(test)]
mod tests;

pub use admin::AdminOptions;
pub use bytes::{ByteCount, NotBytes};
pub use cluster::{ClusterOptions, ManagedBy, MoveOptions, StoreOptions};
pub use describe::{Described, Field, Kind};
pub use dns::{DnsOptions, LEAST_INTERVAL, RecordKind, UrlTemplate};
pub use list::TextList;
pub use place::Place;
pub use quic::{CongestionControl, QuicOptions};
pub use redis::{NOT_DURABLE, NotRedis, RedisUrl};
pub use report::{Finding, Mistake, Report, Severity};
pub use schema::Schema;
pub use server::{
    ApiAccess, ApiOptions, ErrorMode, HttpOptions, LIVE, LogFormat, LogOptions, READY, ShutdownOptions,
    WebSocketOptions, WebTransportOptions,
};
pub use settings::{Differences, Settings};
pub use shards::{EmbeddedShards, RedisShard, ShardsOptions};
pub use source::Sources;
pub use tls::{CertificateSource, InternalTls, PemSource, TlsOptions};

use options::{AuthOptions, ChannelOptions, ClientOptions};
use raw::Raw;
use serde_json::Value;

/// What the parts are built from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, and what is served where.
    pub http: HttpOptions,
    /// Which port speaks TLS, with which certificate.
    pub tls: TlsOptions,
    /// What to log.
    pub log: LogOptions,
    /// This gateway's name, for people; `None`: to be made up.
    pub node_name: Option<String>,
    /// The shards.
    pub shards: ShardsOptions,
    /// How gateways and shards work together.
    pub cluster: ClusterOptions,
    /// What client connections may do.
    pub client: ClientOptions,
    /// Which pages may connect: patterns of origins; empty: pages of the same host.
    pub allowed_origins: Vec<String>,
    /// Which tokens are believed.
    pub auth: AuthOptions,
    /// What channels are.
    pub channel: ChannelOptions,
    /// The server API; `None`: not served.
    pub api: Option<ApiOptions>,
    /// The administration page; `None`: not served.
    pub admin: Option<AdminOptions>,
    /// The WebSocket endpoint; `None`: not served.
    pub websocket: Option<WebSocketOptions>,
    /// The WebTransport endpoint; `None`: not served.
    pub webtransport: Option<WebTransportOptions>,
    /// The QUIC endpoint; `None`: there is none.
    pub quic: Option<QuicOptions>,
    /// How the gateway ends.
    pub shutdown: ShutdownOptions,
    /// The secrets that were made up because nothing was configured; `None`: something was.
    pub demo: Option<Demo>,
    /// All of it as it was written.
    pub settings: Settings,
}

/// What a gateway without any configuration makes up.
#[derive(Clone)]
pub struct Demo {
    /// The key of the server API.
    pub api_key: String,
    /// The key of connection tokens.
    pub token_secret: String,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has errors:\n{0}")]
pub struct Invalid(pub Report);

impl Config {
    /// Reads, merges and validates; the report holds the warnings.
    pub fn load(sources: &Sources) -> Result<(Self, Report), Invalid> {
        let text = sources.read().map_err(|problem| {
            let mut report = Report::default();
            report.mistake(Mistake::File, problem);
            Invalid(report)
        })?;
        Self::load_text(sources, &text)
    }

    /// The same with a file that has been read already, and says `text`: it is not looked at again.
    pub fn load_text(sources: &Sources, text: &[u8]) -> Result<(Self, Report), Invalid> {
        let schema = Schema::new();
        let mut report = Report::default();
        let merged = sources.merge(text, &schema, &mut report);
        let config = merged.and_then(|merged| {
            report_strangers(&schema, &merged, &mut report);
            if report.has(Mistake::WrongType) {
                // What a variable would have set is not missing.
                return None;
            }
            let without_file = sources.file.is_none().then(|| generate::Said::of(&merged));
            let raw = deserialize(merged, &mut report)?;
            Self::validate(raw, without_file, &mut report)
        });
        sources.locate_in(text, &mut report);
        match config {
            Some(config) if !report.has_errors() => Ok((config, report)),
            _ => Err(Invalid(report)),
        }
    }

    fn validate(mut raw: Raw, without_file: Option<generate::Said>, report: &mut Report) -> Option<Self> {
        let demo = generate::demo(&mut raw, without_file);
        let settings = Settings::of(&raw);
        let shards = shards::shards(&raw, report);
        let cluster = cluster::cluster(&raw, &shards, report);
        let http = server::http(&raw, report)?;
        let tls = tls::tls(&raw, report);
        Some(Self {
            quic: quic::quic(&raw, &http, &tls, report),
            http,
            tls,
            log: server::log(&raw.log, report)?,
            node_name: (!raw.node.name.is_empty()).then(|| raw.node.name.clone()),
            admin: admin::admin(&raw, &shards, report),
            shards,
            cluster,
            client: clients::client(&raw, report),
            auth: clients::auth(&raw.client, report),
            channel: channels::channel(&raw.channel, report),
            api: server::api(&raw.http_api, report),
            websocket: server::websocket(&raw.websocket, report),
            webtransport: server::webtransport(&raw, report),
            shutdown: server::shutdown(&raw.shutdown, report),
            allowed_origins: raw.client.allowed_origins,
            demo,
            settings,
        })
    }
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Demo(…)")
    }
}

/// Tells of every key that this program does not have.
fn report_strangers(schema: &Schema, merged: &Value, report: &mut Report) {
    for key in schema.strangers(merged) {
        match centrifugo::ignored(&key) {
            Some(ignored) => report.ignored(&key.path, ignored, key.is_off),
            None => {
                let closest = schema.closest(&key.pattern);
                report.mistake(Mistake::UnknownKey, source::unknown(&key.path, closest));
            }
        }
    }
}

/// The typed form of `merged`; a value of the wrong type is reported with its key.
fn deserialize(mut merged: Value, report: &mut Report) -> Option<Raw> {
    source::unquote(&mut merged, &Schema::new());
    serde_path_to_error::deserialize::<_, Raw>(&merged)
        .inspect_err(|error| report.mistake(Mistake::WrongType, mistyped::mistyped(&merged, error)))
        .ok()
}
