//! How a Redis shard is reached, as configured.

use std::fmt;
use std::path::{Path, PathBuf};

use ::redis::io::tcp::TcpSettings;
use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisError,
    TlsCertificates,
};

/// How a Redis shard is reached.
#[derive(Clone)]
pub struct RedisShardConfig {
    /// `redis://[user][:password@]host[:port][/database]`, or `rediss://…` for TLS.
    pub url: String,
    /// PEM file with the certificates that sign the server's; `None`: those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// Begins every key and Pub/Sub channel. Two deployments on one server need two prefixes, also where their
    /// databases differ: Pub/Sub knows no databases.
    pub prefix: String,
}

impl RedisShardConfig {
    /// The prefix unless configured otherwise.
    pub const DEFAULT_PREFIX: &'static str = "campanile";

    /// The server at `url`, everything else at its default.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ca_file: None,
            prefix: Self::DEFAULT_PREFIX.to_owned(),
        }
    }

    /// Host and port, without credentials.
    pub fn address(&self) -> Result<String, RedisConfigError> {
        Ok(self.connection_info()?.addr().to_string())
    }

    fn connection_info(&self) -> Result<ConnectionInfo, RedisConfigError> {
        let info = self.url.as_str().into_connection_info()?;
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("campanile", env!("CARGO_PKG_VERSION"));
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
    }

    pub(super) fn client(&self) -> Result<Client, RedisConfigError> {
        open_client(self.connection_info()?, self.ca_file.as_deref())
    }

    pub(super) fn checked_prefix(&self) -> Result<&str, RedisConfigError> {
        let forbidden = |letter: char| matches!(letter, '{' | '}') || letter.is_control();
        if self.prefix.is_empty() || self.prefix.contains(forbidden) {
            return Err(RedisConfigError::Prefix);
        }
        Ok(&self.prefix)
    }
}

/// A client that believes the certificates in `ca_file`; `None`: those that browsers trust.
pub(crate) fn open_client(info: ConnectionInfo, ca_file: Option<&Path>) -> Result<Client, RedisConfigError> {
    let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    match ca_file {
        Some(_) if !tls => Err(RedisConfigError::CaWithoutTls),
        Some(file) => {
            let root_cert = Some(read(file)?);
            Ok(Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls: None,
                    root_cert,
                },
            )?)
        }
        None => Ok(Client::open(info)?),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, RedisConfigError> {
    std::fs::read(file).map_err(|source| RedisConfigError::CaFile {
        file: file.to_owned(),
        source,
    })
}

impl fmt::Debug for RedisShardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address().unwrap_or_else(|_| "not a Redis URL".to_owned());
        f.debug_struct("RedisShardConfig")
            .field("address", &address)
            .field("ca_file", &self.ca_file)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Why a configured Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisConfigError {
    /// The URL, or the certificate, is not one.
    #[error("the URL or the certificate is not usable")]
    Url(#[from] RedisError),
    /// The file with the certificates cannot be read.
    #[error("cannot read {}", file.display())]
    CaFile {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with certificates was named for a connection that does not use any.
    #[error("a CA file needs a rediss:// URL")]
    CaWithoutTls,
    /// The prefix would confuse the keys' hash tags.
    #[error("a prefix is not empty and has no braces or control characters")]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_printed() {
        let config = RedisShardConfig::new("redis://someone:s3cret@10.0.0.7:6390/2");
        let printed = format!("{config:?} {config:#?} {}", config.address().unwrap());
        assert!(printed.contains("10.0.0.7:6390"), "{printed}");
        assert!(
            !printed.contains("s3cret") && !printed.contains("someone"),
            "{printed}"
        );
    }

    #[test]
    fn an_unusable_url_is_refused_without_repeating_it() {
        for url in [
            "http://x:s3cret@host",
            "redis://:s3cret@host/notanumber",
            "",
            "redis://:s3cret@",
        ] {
            let config = RedisShardConfig::new(url);
            let error = config.client().unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            assert!(
                !format!("{error} {error:?} {source:?} {config:?}").contains("s3cret"),
                "{url}"
            );
        }
    }

    #[test]
    fn prefixes_that_would_move_the_hash_tag_are_refused() {
        for prefix in ["", "a{b", "a}b", "a\nb"] {
            let config = RedisShardConfig {
                prefix: prefix.to_owned(),
                ..RedisShardConfig::new("redis://host")
            };
            assert!(
                matches!(config.checked_prefix(), Err(RedisConfigError::Prefix)),
                "{prefix:?}"
            );
        }
    }

    #[test]
    fn certificates_without_tls_are_a_mistake() {
        let config = RedisShardConfig {
            ca_file: Some("ca.pem".into()),
            ..RedisShardConfig::new("redis://host")
        };
        assert!(matches!(config.client(), Err(RedisConfigError::CaWithoutTls)));
    }
}
