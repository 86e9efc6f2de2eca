//! The server that is loaded: where it is and how one gets in.

pub(crate) mod address;
mod api;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use campanile_client::transport::{Dial, DialOptions, dialer};
use campanile_client::{CertificateHash, TlsOptions};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::measure::processes::Watched;
use crate::secrets;

pub use api::Api;

/// The server that is loaded. It travels to every worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Where clients connect, in turns: `ws://…`, `wss://…`, `quic://…`. At least one.
    pub urls: Vec<String>,
    /// The codec that clients ask for.
    pub codec: CodecName,
    /// Bases of the HTTP API, such as `http://host:8000/api`, in turns. Empty: publications go through clients.
    pub apis: Vec<String>,
    /// The key of the API.
    pub api_key: String,
    /// With which connection tokens are signed (HS256). `None`: clients connect without one.
    pub token_secret: Option<String>,
    /// The SHA-256 of the certificate that the server shows, in hex; `None`: one that authorities have signed.
    pub certificate: Option<String>,
    /// Whether each client makes a whole TLS handshake, as new ones do, instead of resuming the session of another.
    #[serde(default)]
    pub full_handshakes: bool,
    /// The namespace of channels without a stream; empty: none.
    pub namespace: String,
    /// The namespace of channels with a stream.
    pub stream_namespace: String,
    /// The Redis shards behind the gateways, where they are known.
    pub shards: Vec<Shard>,
    /// Redis servers that run and are no shards yet.
    pub spares: Vec<Shard>,
    /// The gateways' metrics: `http://host:8000/metrics`.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// The server's processes, where they run on this machine and are known.
    pub processes: Vec<Watched>,
}

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its name in the topology.
    pub name: String,
    /// `redis://host:port`.
    pub url: String,
}

/// A codec, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum CodecName {
    /// JSON, which every server speaks.
    Json,
    /// Protobuf.
    #[default]
    Protobuf,
    /// MessagePack.
    Msgpack,
}

impl From<CodecName> for campanile_common::Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::Json => Self::Json,
            CodecName::Protobuf => Self::Protobuf,
            CodecName::Msgpack => Self::MessagePack,
        }
    }
}

impl Target {
    /// The dialer for the clients of one of the URLs.
    pub fn dialer(&self, url: &str, source: Option<IpAddr>) -> Result<Arc<dyn Dial>, Failure> {
        let options = DialOptions {
            tls: self.tls()?,
            local_address: source,
            ..DialOptions::default()
        };
        dialer(&[url], &options).map_err(|error| Failure::usage(error.to_string()))
    }

    /// The connection token of the client with this number; empty where none is needed.
    #[must_use]
    pub fn token(&self, client: usize) -> String {
        let secret = self.token_secret.as_ref();
        secret.map_or_else(String::new, |secret| token::connection(secret, client))
    }

    /// Whether all of it is on this machine, so that what the kernel holds for it can be seen.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let local = |url: &String| address::loopback(url).is_some();
        !self.urls.is_empty() && self.urls.iter().all(local)
    }

    /// Whether clients may come to this URL from all of 127.0.0.0/8. IPv6 has one such address only.
    #[must_use]
    pub fn takes_many_sources(&self, url: &str) -> bool {
        self.is_loopback() && address::loopback(url).is_some_and(|ip| ip.is_ipv4())
    }

    /// The same without what must not be printed.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.api_key.clear();
        self.token_secret = None;
        let shards = self.shards.iter_mut().chain(&mut self.spares);
        let lists = [&mut self.urls, &mut self.apis, &mut self.metrics];
        let urls = lists.into_iter().flatten();
        for url in urls.chain(shards.map(|shard| &mut shard.url)) {
            *url = secrets::urls(url);
        }
        self
    }

    fn tls(&self) -> Result<TlsOptions, Failure> {
        let options = TlsOptions::default().resumption(!self.full_handshakes);
        let Some(hex) = &self.certificate else {
            return Ok(options);
        };
        let hash: CertificateHash = hex
            .parse()
            .map_err(|_| Failure::usage(format!("{hex}: not the SHA-256 of a certificate")))?;
        Ok(options.certificate(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_lets_anybody_in_is_told() {
        let secret = |scheme: &str| format!("{scheme}://user:s3cret@host/x");
        let shard = Shard {
            name: "a".to_owned(),
            url: secret("redis"),
        };
        let target = Target {
            urls: vec![secret("ws")],
            apis: vec![secret("http")],
            api_key: "s3cret".to_owned(),
            token_secret: Some("s3cret".to_owned()),
            metrics: vec![secret("http")],
            shards: vec![shard.clone()],
            spares: vec![shard],
            ..Target::default()
        };
        let told = format!("{:?}", target.without_secrets());
        assert!(
            !told.contains("s3cret") && told.contains("redis://***@host/x"),
            "{told}"
        );
    }
}
