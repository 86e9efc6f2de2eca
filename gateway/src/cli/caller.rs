//! One call of a gateway's API. HTTP on a connection of its own: a command makes a call now and then.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use campanile_client::TlsOptions;
use http::uri::{Authority, Uri};
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Exit;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take: adding a shard looks at it first, and gateways ask each other.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest answer in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// The path of the API where none is given.
const API_PATH: &str = "/api";

/// A gateway's API.
pub(super) struct Caller {
    authority: Authority,
    /// For `https`: the name that the certificate must have, and what speaks TLS.
    tls: Option<(ServerName<'static>, TlsConnector)>,
    prefix: String,
    key: Option<String>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The URL is none.
    #[error("{0:?} is not the URL of a gateway: write one such as http://127.0.0.1:8000")]
    Url(String),
    /// It is not said, or not in a way that is understood, which servers are believed.
    #[error("{0}")]
    Trust(String),
    /// Another server answers than one that is believed, or none that speaks TLS.
    #[error(
        "{authority} is not believed, or does not speak TLS: {why}; give --ca the authority of its certificate, or --cert-hash"
    )]
    Untrusted {
        /// Where.
        authority: Authority,
        /// Why not.
        why: String,
    },
    /// No answer.
    #[error("no gateway answers at {authority}: {why}")]
    Unreachable {
        /// Where.
        authority: Authority,
        /// Why not.
        why: String,
    },
    /// The key is missing or wrong.
    #[error(
        "the gateway does not accept the API key: give the one of its http_api.key with --api-key or CAMPANILE_HTTP_API_KEY"
    )]
    Unauthorized,
    /// Something else answers there.
    #[error(
        "what answers at {authority} is not the API of a gateway (HTTP status {status}); has its API another port or path?"
    )]
    NotTheApi {
        /// Where.
        authority: Authority,
        /// What it answered.
        status: StatusCode,
    },
    /// The gateway said no.
    #[error("{message}")]
    Refused {
        /// The error's number.
        code: u32,
        /// What to do.
        message: String,
    },
}

impl CallError {
    /// Whether the same call may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::NotTheApi { status, .. } => status.is_server_error(),
            Self::Url(_)
            | Self::Trust(_)
            | Self::Untrusted { .. }
            | Self::Unauthorized
            | Self::Refused { .. } => false,
        }
    }

    /// How the process ends.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Url(_) | Self::Trust(_) => Exit::Usage,
            Self::Unauthorized | Self::Refused { .. } => Exit::Refused,
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::NotTheApi { .. } => Exit::Failure,
        }
    }

    /// The number of the gateway's refusal, if that is what it is.
    pub(super) const fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Result(Box<RawValue>),
    Error(Refusal),
}

#[derive(Deserialize)]
struct Refusal {
    code: u32,
    message: String,
}

impl Caller {
    /// The API of the gateway at `url`; with `https` one that is believed by `trust`.
    pub(super) fn new(url: &str, key: Option<String>, trust: &TlsOptions) -> Result<Self, CallError> {
        let no_url = || CallError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        let authority = uri.authority().ok_or_else(no_url)?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => {
                let name = ServerName::try_from(host(authority).to_owned()).map_err(|_| no_url())?;
                Some((name, TlsConnector::from(Arc::new(trust.tcp()))))
            }
            _ => return Err(no_url()),
        };
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            authority: authority.clone(),
            tls,
            prefix: if path.is_empty() { API_PATH } else { path }.to_owned(),
            key,
        })
    }

    /// The method's result.
    pub(super) async fn call(&self, method: &str, params: &Value) -> Result<Box<RawValue>, CallError> {
        let request = self.request(method, params);
        let answered = timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        let (status, body) = answered.unwrap_or_else(|_| Err(self.unreachable("it does not answer")))?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(CallError::Unauthorized);
        }
        // With `http_api.error_mode: transport` a refusal has a status of its own.
        match serde_json::from_slice(&body) {
            Ok(Answer::Result(result)) => Ok(result),
            Ok(Answer::Error(Refusal { code, message })) => Err(CallError::Refused { code, message }),
            Err(_) => Err(CallError::NotTheApi {
                authority: self.authority.clone(),
                status,
            }),
        }
    }

    fn request(&self, method: &str, params: &Value) -> Request<Body> {
        let mut request = Request::post(format!("{}/{method}", self.prefix))
            .header(header::HOST, self.authority.as_str())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key);
        }
        // The parts come from a parsed URL; a key with control characters makes no request, and no gateway has one.
        request
            .body(Body::from(params.to_string()))
            .unwrap_or_else(|_| Request::new(Body::empty()))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<(StatusCode, bytes::Bytes), CallError> {
        let stream = match timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(self.unreachable("it does not accept the connection")),
        };
        let answered = converse(stream, request).await;
        answered.map_err(|why| self.unreachable(why))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, CallError> {
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.authority.port_u16().unwrap_or(usual);
        let stream = TcpStream::connect((host(&self.authority), port)).await;
        let stream = stream.map_err(|error| self.unreachable(error.to_string()))?;
        let Some((name, connector)) = &self.tls else {
            return Ok(Box::new(stream));
        };
        match connector.connect(name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(CallError::Untrusted {
                authority: self.authority.clone(),
                why: error.to_string(),
            }),
        }
    }

    fn unreachable(&self, why: impl Into<String>) -> CallError {
        CallError::Unreachable {
            authority: self.authority.clone(),
            why: why.into(),
        }
    }
}

/// A connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Sends the request and reads the answer.
async fn converse(
    stream: Box<dyn Stream>,
    request: Request<Body>,
) -> Result<(StatusCode, bytes::Bytes), String> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
        Ok((status, body.map_err(|error| error.to_string())?))
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// The host, without the brackets of an IPv6 address.
fn host(authority: &Authority) -> &str {
    authority.host().trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests;
