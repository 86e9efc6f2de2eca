//! TLS to Redis: whom to believe, what to show, and what an error means for whoever runs it.
//!
//! Files are read when a configuration is opened, so that a mistake is found at once, and looked at again by each
//! connection, so that renewed certificates are used without a restart; what cannot be read then leaves the former in use.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, fs, io};

use ::redis::RedisError;
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How connections with TLS are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The certificates that sign those of servers; `None`: those that browsers trust.
    pub server_ca: Option<Pem>,
    /// What is shown to servers that ask who comes; `None`: nothing.
    pub identity: Option<PemIdentity>,
    /// The name that certificates of servers must be for; `None`: the host that is connected to.
    pub server_name: Option<String>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemIdentity {
    /// The certificate, with those between it and its authority behind it.
    pub certificate: Pem,
    /// Its private key, without a password.
    pub key: Pem,
}

/// Where PEM comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

/// Why a configuration for TLS cannot be used: what is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum RedisTlsError {
    /// A file cannot be read.
    #[error("cannot read the {part} in {place}: {error}")]
    Unreadable {
        /// Which part of the configuration.
        part: &'static str,
        /// Its path.
        place: String,
        /// Why.
        error: io::Error,
    },
    /// There is nothing in it that could be used.
    #[error("there is no {part} in {place}; it must be PEM, a key without a password")]
    Missing {
        /// Which part of the configuration.
        part: &'static str,
        /// The file, or that it is a text.
        place: String,
    },
    /// An authority's certificate is none.
    #[error("a certificate in {place} cannot be used to check others: {error}")]
    Authority {
        /// The file, or that it is a text.
        place: String,
        /// Why.
        error: rustls::Error,
    },
    /// The client's certificate and its key are of no use together.
    #[error("the client's certificate and key cannot be used, do they belong together? {0}")]
    Identity(rustls::Error),
    /// The name is none that a certificate could have.
    #[error("{0:?} is no name of a server; write a host name or an IP address")]
    ServerName(String),
}

/// What all connections of one configuration share.
pub(super) struct TlsClient {
    tls: RedisTls,
    current: Mutex<Current>,
}

struct Current {
    read: Read,
    config: Arc<ClientConfig>,
}

/// What was read.
#[derive(PartialEq, Eq)]
struct Read {
    server_ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Whether it can be used.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), RedisTlsError> {
        TlsClient::open(self.clone()).map(drop)
    }
}

impl TlsClient {
    pub(super) fn open(tls: RedisTls) -> Result<Self, RedisTlsError> {
        if let Some(name) = &tls.server_name {
            server_name(name).ok_or_else(|| RedisTlsError::ServerName(name.clone()))?;
        }
        let read = tls.read()?;
        let config = Arc::new(tls.config(&read)?);
        let current = Mutex::new(Current { read, config });
        Ok(Self { tls, current })
    }

    /// Carries out the handshake with `host`.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = self.tls.server_name.as_deref().unwrap_or(host);
        let parsed =
            server_name(name).ok_or_else(|| RedisTlsError::ServerName(name.to_owned()).to_string())?;
        let connector = TlsConnector::from(self.config());
        let connected = connector.connect(parsed, stream).await;
        connected.map_err(|error| self.words(name, &error).unwrap_or_else(|| error.to_string()))
    }

    /// What an error on an encrypted connection to `host` means, if it is about TLS: a server that refuses the client's
    /// certificate says so only after the handshake.
    pub(super) fn explain(&self, host: &str, error: &RedisError) -> Option<String> {
        let name = self.tls.server_name.as_deref().unwrap_or(host);
        self.words(name, io_error(error)?)
    }

    /// What is to be used now: anew if a file has changed and can be used.
    fn config(&self) -> Arc<ClientConfig> {
        let mut current = self.current.lock();
        let read = self.tls.read();
        let renewed = read.and_then(|read| match read == current.read {
            true => Ok(None),
            false => Ok(Some((Arc::new(self.tls.config(&read)?), read))),
        });
        match renewed {
            Ok(None) => {}
            Ok(Some((config, read))) => *current = Current { read, config },
            Err(error) => tracing::warn!(%error, "certificates for Redis: the former ones stay in use"),
        }
        Arc::clone(&current.config)
    }

    /// What to do about an error.
    fn words(&self, name: &str, error: &io::Error) -> Option<String> {
        use AlertDescription as Alert;
        use CertificateError as Wrong;
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        let shows_one = self.tls.identity.is_some();
        let found = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Some(match found {
            Some(rustls::Error::InvalidCertificate(Wrong::UnknownIssuer)) => {
                "nobody who is trusted here has signed the server's certificate: name the certificate that has in \
                 redis.tls.server_ca_pem (or in the shard's ca_file)"
                    .to_owned()
            }
            Some(rustls::Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. })) => {
                format!(
                    "the server's certificate is not for {name}: name one of those that it is for in \
                     redis.tls.server_name, or use it in the URL"
                )
            }
            Some(rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. })) => {
                "the server's certificate has expired: renew it".to_owned()
            }
            Some(rustls::Error::AlertReceived(Alert::CertificateRequired)) => DEMANDED.to_owned(),
            Some(rustls::Error::AlertReceived(Alert::HandshakeFailure)) if !shows_one => DEMANDED.to_owned(),
            Some(rustls::Error::AlertReceived(
                alert @ (Alert::UnknownCA
                | Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::CertificateExpired
                | Alert::AccessDenied
                | Alert::DecryptError),
            )) if shows_one => format!(
                "the server refuses the certificate in redis.tls.cert_pem ({alert:?}): it must be valid, and signed by \
                 an authority in the server's tls-ca-cert-file"
            ),
            Some(rustls::Error::InvalidMessage(_)) => {
                "the server does not speak TLS on this port: is that its tls-port?".to_owned()
            }
            Some(other) => format!("TLS: {other}"),
            // It may close the connection in place of an answer.
            None if !shows_one => format!("{error}; {MAYBE_DEMANDED}"),
            None if matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof) => {
                format!("{error}; {MAYBE_REFUSED}")
            }
            None => return None,
        })
    }
}

const DEMANDED: &str = "the server wants a certificate of its clients: name one, and its key, in redis.tls.cert_pem and redis.tls.key_pem";

const MAYBE_DEMANDED: &str = "if the server wants certificates of its clients (tls-auth-clients), name one, and its key, \
     in redis.tls.cert_pem and redis.tls.key_pem";

const MAYBE_REFUSED: &str = "perhaps the server refuses the certificate in redis.tls.cert_pem: an authority in its \
     tls-ca-cert-file must have signed it";

impl RedisTls {
    fn read(&self) -> Result<Read, RedisTlsError> {
        let server_ca = self.server_ca.as_ref();
        let identity = self.identity.as_ref().map(|identity| {
            let certificate = identity.certificate.read(CERTIFICATE)?;
            Ok((certificate, identity.key.read(KEY)?))
        });
        Ok(Read {
            server_ca: server_ca.map(|pem| pem.read(AUTHORITY)).transpose()?,
            identity: identity.transpose()?,
        })
    }

    fn config(&self, read: &Read) -> Result<ClientConfig, RedisTlsError> {
        let roots = match (&self.server_ca, &read.server_ca) {
            (Some(source), Some(pem)) => authorities(source, pem)?,
            _ => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_root_certificates(roots);
        let (Some(source), Some((certificate, key))) = (&self.identity, &read.identity) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate).ok_or_else(|| source.certificate.missing(CERTIFICATE))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| source.key.missing(KEY))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(RedisTlsError::Identity)
    }
}

const AUTHORITY: &str = "certificate of the authority";
const CERTIFICATE: &str = "client's certificate";
const KEY: &str = "client's private key";

fn authorities(source: &Pem, pem: &[u8]) -> Result<RootCertStore, RedisTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).ok_or_else(|| source.missing(AUTHORITY))? {
        roots.add(certificate).map_err(|error| RedisTlsError::Authority {
            place: source.place(),
            error,
        })?;
    }
    Ok(roots)
}

/// One at least.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}

fn server_name(text: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(text.to_owned()).ok()
}

/// The error of the system, or of TLS, that is behind one of the library.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    let source = error.source()?;
    let shared = source.downcast_ref::<Arc<dyn Error + Send + Sync>>();
    match shared {
        Some(shared) => shared.downcast_ref(),
        None => source.downcast_ref(),
    }
}

impl Pem {
    fn read(&self, part: &'static str) -> Result<Vec<u8>, RedisTlsError> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => fs::read(path).map_err(|error| RedisTlsError::Unreadable {
                part,
                place: self.place(),
                error,
            }),
        }
    }

    fn missing(&self, part: &'static str) -> RedisTlsError {
        RedisTlsError::Missing {
            part,
            place: self.place(),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the text".to_owned(),
        }
    }
}

/// Shows no text: it may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{path:?}"),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_or_holds_nothing_is_named() {
        let missing = RedisTls {
            server_ca: Some(Pem::File("/nowhere/ca.pem".into())),
            ..RedisTls::default()
        };
        let error = missing.check().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read the certificate of the authority in /nowhere/ca.pem: "),
            "{error}"
        );
        let empty = RedisTls {
            identity: Some(PemIdentity {
                certificate: Pem::Text("nonsense".to_owned()),
                key: Pem::Text("hush".to_owned()),
            }),
            ..RedisTls::default()
        };
        assert!(!format!("{empty:?}").contains("hush"));
        let error = empty.check().unwrap_err().to_string();
        assert!(
            error.starts_with("there is no client's certificate in the text"),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_no_certificate_has_is_refused() {
        let named = |name: &str| RedisTls {
            server_name: Some(name.to_owned()),
            ..RedisTls::default()
        };
        assert!(named("redis.example").check().is_ok());
        assert!(named("10.0.0.7").check().is_ok());
        assert!(matches!(
            named("not a name").check(),
            Err(RedisTlsError::ServerName(_))
        ));
    }
}
