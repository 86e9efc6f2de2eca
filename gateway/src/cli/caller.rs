//! One call of a gateway's API. Plain HTTP on a connection of its own: a command makes a call now and then.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::uri::{Authority, Uri};
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::time::timeout;

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
    prefix: String,
    key: Option<String>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The URL is none.
    #[error("{0:?} is not the URL of a gateway: write one such as http://127.0.0.1:8000")]
    Url(String),
    /// Not without a proxy.
    #[error(
        "{0}: https is not spoken here; ask the gateway's own port, or forward it with ssh -L or kubectl port-forward"
    )]
    Tls(String),
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
            Self::Url(_) | Self::Tls(_) | Self::Unauthorized | Self::Refused { .. } => false,
        }
    }

    /// How the process ends.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Url(_) | Self::Tls(_) => Exit::Usage,
            Self::Unauthorized | Self::Refused { .. } => Exit::Refused,
            Self::Unreachable { .. } | Self::NotTheApi { .. } => Exit::Failure,
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
    /// The API of the gateway at `url`.
    pub(super) fn new(url: &str, key: Option<String>) -> Result<Self, CallError> {
        let uri: Uri = url.parse().map_err(|_| CallError::Url(url.to_owned()))?;
        let authority = uri.authority().ok_or_else(|| CallError::Url(url.to_owned()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(CallError::Tls(url.to_owned())),
            _ => return Err(CallError::Url(url.to_owned())),
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            authority: authority.clone(),
            prefix: if path.is_empty() { API_PATH } else { path }.to_owned(),
            key,
        })
    }

    /// The method's result.
    pub(super) async fn call(&self, method: &str, params: &Value) -> Result<Box<RawValue>, CallError> {
        let request = self.request(method, params);
        let answered = timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        let (status, body) = answered
            .unwrap_or_else(|_| Err("it does not answer".to_owned()))
            .map_err(|why| CallError::Unreachable {
                authority: self.authority.clone(),
                why,
            })?;
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

    async fn exchange(&self, request: Request<Body>) -> Result<(StatusCode, bytes::Bytes), String> {
        let host = self.authority.host().trim_matches(['[', ']']);
        let connecting = TcpStream::connect((host, self.authority.port_u16().unwrap_or(80)));
        let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string())?,
            Err(_) => return Err("it does not accept the connection".to_owned()),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| error.to_string())?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
            Ok((status, body.map_err(|error| error.to_string())?))
        };
        let answer = answer.await;
        driver.abort();
        answer
    }
}
