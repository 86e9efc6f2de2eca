//! How a Redis shard is reached, as configured.

use std::fmt;
use std::path::PathBuf;

use super::dialer::Dialer;
use super::place::{NotAPlace, RedisPlace};
use super::tls::{Pem, RedisTls, RedisTlsError};

/// How a Redis shard is reached.
#[derive(Clone)]
pub struct RedisShardConfig {
    /// A server, or Sentinels: see [`RedisPlace`].
    pub url: String,
    /// PEM file with the certificates that sign the server's; `None`: those of `tls`.
    pub ca_file: Option<PathBuf>,
    /// How connections are encrypted if the URL says that they are.
    pub tls: RedisTls,
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
            tls: RedisTls::default(),
            prefix: Self::DEFAULT_PREFIX.to_owned(),
        }
    }

    /// Hosts and ports, without credentials.
    pub fn address(&self) -> Result<String, RedisConfigError> {
        Ok(RedisPlace::parse(&self.url)?.address())
    }

    pub(super) fn dialer(&self) -> Result<Dialer, RedisConfigError> {
        open_dialer(&self.url, self.ca_file.clone(), &self.tls)
    }

    pub(super) fn checked_prefix(&self) -> Result<&str, RedisConfigError> {
        let forbidden = |letter: char| matches!(letter, '{' | '}') || letter.is_control();
        if self.prefix.is_empty() || self.prefix.contains(forbidden) {
            return Err(RedisConfigError::Prefix);
        }
        Ok(&self.prefix)
    }
}

/// What opens connections to `url`, believing the certificates in `ca_file`; `None`: those of `tls`.
pub(crate) fn open_dialer(
    url: &str,
    ca_file: Option<PathBuf>,
    tls: &RedisTls,
) -> Result<Dialer, RedisConfigError> {
    let Some(file) = ca_file else {
        return Dialer::new(url, tls);
    };
    if !RedisPlace::parse(url)?.has_tls() {
        return Err(RedisConfigError::CaWithoutTls);
    }
    let tls = RedisTls {
        server_ca: Some(Pem::File(file)),
        ..tls.clone()
    };
    Dialer::new(url, &tls)
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
    /// The URL is not one of a Redis.
    #[error(transparent)]
    Url(#[from] NotAPlace),
    /// Certificates or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] RedisTlsError),
    /// A file with certificates was named for a connection that does not use any.
    #[error("a CA file needs a rediss:// or rediss+sentinel:// URL")]
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
            let error = config.dialer().unwrap_err();
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
        assert!(matches!(config.dialer(), Err(RedisConfigError::CaWithoutTls)));
    }
}
