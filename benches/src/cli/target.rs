//! Whom to load.

use std::path::PathBuf;

use clap::Args;

use crate::Failure;
use crate::measure::processes::Watched;
use crate::stack::StackOptions;
use crate::target::{Api, CodecName, Shard, Target};

/// Whom to load: a server that runs, or one that is started for it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArguments {
    /// Where clients connect: `ws://…`, `wss://…`, `quic://…`; several in turns. None: start Redis servers and gateways
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Base of the HTTP API, `http://host:8000/api`; without a path, `/api`; several in turns. TLS is not spoken here. None:
    /// publish through clients
    #[arg(long, value_name = "URL", requires = "url")]
    api: Vec<String>,
    /// Key of the HTTP API
    #[arg(
        long,
        value_name = "KEY",
        env = "CAMPANILE_BENCH_API_KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
    /// Secret with which connection tokens are signed
    #[arg(
        long,
        value_name = "SECRET",
        env = "CAMPANILE_BENCH_TOKEN_SECRET",
        hide_env_values = true
    )]
    token_secret: Option<String>,
    /// Codec of the clients
    #[arg(long, default_value = "protobuf")]
    codec: CodecName,
    /// SHA-256 of the certificate that the server shows, in hex
    #[arg(long, value_name = "HASH", requires = "url")]
    certificate: Option<String>,
    /// Make a whole TLS handshake for each client, instead of resuming the sessions of earlier ones
    #[arg(long)]
    full_handshakes: bool,
    /// Namespace of channels without a stream; empty: none
    #[arg(long, value_name = "NAME", default_value = "bench")]
    namespace: String,
    /// Namespace of channels with a stream
    #[arg(long, value_name = "NAME", default_value = "stream")]
    stream_namespace: String,
    /// A process of the server on this machine, to watch its CPU time and memory. Figures are of those whose names begin with
    /// `gateway` and `redis`, as in `gateway-1`; of either kind, those that are not named are looked for by the ports of --url
    /// and --shard
    #[arg(long, value_name = "NAME=PID", value_parser = pair, requires = "url")]
    pid: Vec<(String, String)>,
    /// A shard of the server, to watch its process and, in `publish`, to measure it without a gateway: that writes to it
    #[arg(long, value_name = "NAME=redis://HOST:PORT", value_parser = pair, requires = "url")]
    shard: Vec<(String, String)>,
    /// Metrics of a gateway, to tell what it counted: `http://host:8000/metrics`
    #[arg(long, value_name = "URL", requires = "url")]
    metrics: Vec<String>,
    /// Redis servers that are started as shards; 0: the gateway holds the channels itself. By default one, or what the
    /// scenario needs
    #[arg(long, value_name = "N", conflicts_with = "url")]
    shards: Option<usize>,
    /// Redis servers that are started and are no shards yet. By default none, or what the scenario needs
    #[arg(long, value_name = "N", conflicts_with = "url")]
    spare_shards: Option<usize>,
    /// Gateways that are started. By default one, or what the scenario needs
    #[arg(long, value_name = "N", conflicts_with = "url")]
    gateways: Option<usize>,
    /// The gateway's program; default: `campanile` beside this one
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    gateway_binary: Option<PathBuf>,
    /// Connect over QUIC to the gateways that are started
    #[arg(long, conflicts_with = "url")]
    quic: bool,
    /// More configuration of the gateways that are started
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "url")]
    settings: Vec<(String, String)>,
}

impl TargetArguments {
    /// Whether the user names a server that runs.
    pub(super) fn names_a_server(&self) -> bool {
        !self.url.is_empty()
    }

    /// The server that the user named, if one was.
    pub(super) fn target(&self) -> Result<Option<Target>, Failure> {
        if self.url.is_empty() {
            return Ok(None);
        }
        let shard = |(name, url): &(String, String)| Shard {
            name: name.clone(),
            url: url.clone(),
        };
        Ok(Some(Target {
            urls: self.url.clone(),
            apis: self.api.iter().map(|url| api(url)).collect::<Result<_, _>>()?,
            certificate: self.certificate.clone(),
            metrics: self.metrics.clone(),
            shards: self.shard.iter().map(shard).collect(),
            processes: self.pid.iter().map(watched).collect::<Result<_, _>>()?,
            ..self.common()
        }))
    }

    /// What holds for every server that is named, the other one of a comparison among them.
    pub(super) fn common(&self) -> Target {
        Target {
            codec: self.codec,
            api_key: self.api_key.clone().unwrap_or_default(),
            token_secret: self.token_secret.clone(),
            full_handshakes: self.full_handshakes,
            namespace: self.namespace.clone(),
            stream_namespace: self.stream_namespace.clone(),
            ..Target::default()
        }
    }

    /// The scenario's configuration of the gateways, but for what the user sets otherwise.
    fn settings(&self, defaults: &StackOptions) -> Vec<(String, String)> {
        let is_set = |key: &str| self.settings.iter().any(|(set, _)| set == key);
        let kept = defaults.settings.iter().filter(|(key, _)| !is_set(key));
        kept.chain(&self.settings).cloned().collect()
    }

    /// What a local stack is made of, if one is needed; `defaults` where the user does not say.
    pub(super) fn stack(&self, defaults: &StackOptions) -> StackOptions {
        StackOptions {
            shards: self.shards.unwrap_or(defaults.shards),
            spares: self.spare_shards.unwrap_or(defaults.spares),
            gateways: self.gateways.unwrap_or(defaults.gateways),
            gateway_binary: self.gateway_binary.clone(),
            settings: self.settings(defaults),
            codec: self.codec,
            quic: self.quic,
            presence: defaults.presence,
        }
    }
}

/// The base of an API, as it is kept.
pub(super) fn api(text: &str) -> Result<String, Failure> {
    // What cannot be called is told now, not when somebody calls.
    text.parse::<Api>().map(|_| text.to_owned())
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

pub(super) fn watched((name, pid): &(String, String)) -> Result<Watched, Failure> {
    let wrong = |_| Failure::usage(format!("--pid {name}={pid}: not the id of a process"));
    Ok(Watched {
        name: name.clone(),
        pid: pid.parse().map_err(wrong)?,
    })
}
