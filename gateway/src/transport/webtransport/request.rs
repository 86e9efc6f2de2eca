//! From a QUIC connection to the request for a session.

use std::time::Duration;

use campanile_common::Codec;
use http::StatusCode;
use http::header::ORIGIN;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use web_transport_proto::{ConnectError, ConnectRequest, ConnectResponse, Settings, StreamUni, VarInt};

use super::session::Session;
use super::{ErrorCode, WebTransport, close};

/// How long a client may take to receive the answer that refuses it.
const REFUSAL_WAIT: Duration = Duration::from_secs(2);

/// A client asks for a session.
#[derive(Debug)]
pub struct SessionRequest {
    connection: Connection,
    request: ConnectRequest,
    answer: SendStream,
    capsules: RecvStream,
    critical: Critical,
}

/// Streams that stay open as long as the connection (RFC 9114 §6.2.1), though nothing of interest comes on them.
#[derive(Debug)]
pub(super) struct Critical {
    _own: SendStream,
    _theirs: Vec<RecvStream>,
}

/// Why a connection asks for no session.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is gone.
    #[error("the connection is gone")]
    Gone(#[from] ConnectionError),
    /// It does not speak HTTP/3, or another WebTransport. Closed.
    #[error("the client broke the rules of HTTP/3: {0}")]
    Protocol(&'static str),
    /// It asks for something else. Answered, and closed.
    #[error("the request asks for no session")]
    OtherRequest,
}

impl SessionRequest {
    /// Waits for the request, for which the caller sets a time limit. Errors have been answered.
    pub async fn receive(connection: Connection) -> Result<Self, RequestError> {
        let received = Self::read(connection.clone()).await;
        close_if_broken(&connection, &received);
        received
    }

    async fn read(connection: Connection) -> Result<Self, RequestError> {
        let (own, theirs) = tokio::try_join!(send_settings(&connection), read_settings(&connection))?;
        let (answer, mut capsules) = connection.accept_bi().await?;
        let request = match ConnectRequest::read(&mut capsules).await {
            Ok(request) => request,
            Err(ConnectError::WrongMethod(_) | ConnectError::WrongProtocol(_)) => {
                refuse(&connection, answer, StatusCode::NOT_FOUND).await;
                return Err(RequestError::OtherRequest);
            }
            Err(_) => return Err(broken(&connection, "malformed request")),
        };
        Ok(Self {
            connection,
            request,
            answer,
            capsules,
            critical: Critical {
                _own: own,
                _theirs: theirs,
            },
        })
    }

    /// The path that it asks for.
    #[must_use]
    pub fn path(&self) -> &str {
        self.request.url.path()
    }

    /// The query behind the path, without its question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        self.request.url.query().unwrap_or_default()
    }

    /// The page's origin; `None`: the client is no browser.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        let origin = self.request.headers.get(ORIGIN);
        // What is not text is no origin that anything allows.
        origin.map(|value| value.to_str().unwrap_or("invalid"))
    }

    /// The host and port that it connects to.
    #[must_use]
    pub fn host(&self) -> &str {
        self.request.url.authority()
    }

    /// Grants the session, and waits for the stream in it, for which the caller sets a time limit.
    pub async fn accept(self, codec: Codec, message_size_limit: usize) -> Result<WebTransport, RequestError> {
        let connection = self.connection.clone();
        let accepted = self.open(codec, message_size_limit).await;
        close_if_broken(&connection, &accepted);
        accepted
    }

    async fn open(mut self, codec: Codec, message_size_limit: usize) -> Result<WebTransport, RequestError> {
        if ConnectResponse::OK.write(&mut self.answer).await.is_err() {
            return Err(broken(&self.connection, "the request was withdrawn"));
        }
        let session = Session::new(self.connection, self.answer, self.capsules, self.critical);
        match session.stream().await? {
            Some(halves) => Ok(WebTransport::new(session, halves, codec, message_size_limit)),
            None => Err(broken(session.connection(), "not a stream of the session")),
        }
    }

    /// Refuses it, and closes the connection.
    pub async fn refuse(self, status: StatusCode) {
        refuse(&self.connection, self.answer, status).await;
    }
}

fn close_if_broken<T>(connection: &Connection, result: &Result<T, RequestError>) {
    if let Err(RequestError::Protocol(what)) = result {
        close(connection, ErrorCode::Protocol, what);
    }
}

/// The error of a stream: the connection's, if it is gone.
fn broken(connection: &Connection, what: &'static str) -> RequestError {
    connection
        .close_reason()
        .map_or(RequestError::Protocol(what), RequestError::Gone)
}

/// Opens this side's control stream and says that sessions are served.
async fn send_settings(connection: &Connection) -> Result<SendStream, RequestError> {
    let mut stream = connection.open_uni().await?;
    let mut settings = Settings::default();
    settings.enable_webtransport(1);
    match settings.write(&mut stream).await {
        Ok(()) => Ok(stream),
        Err(_) => Err(broken(connection, "no control stream wanted")),
    }
}

/// Finds the client's control stream and reads what it says; returns all streams that it has opened.
async fn read_settings(connection: &Connection) -> Result<Vec<RecvStream>, RequestError> {
    let mut streams = Vec::new();
    loop {
        let mut stream = connection.accept_uni().await?;
        let Ok(kind) = VarInt::read(&mut stream).await else {
            return Err(broken(connection, "malformed stream"));
        };
        if StreamUni(kind) != StreamUni::CONTROL {
            streams.push(stream);
            continue;
        }
        // The type, read already, is read again.
        let mut whole = [0].chain(&mut stream);
        let Ok(settings) = Settings::read(&mut whole).await else {
            return Err(broken(connection, "malformed settings"));
        };
        if settings.supports_webtransport() == 0 {
            return Err(RequestError::Protocol("no WebTransport in the settings"));
        }
        streams.push(stream);
        return Ok(streams);
    }
}

/// Answers with a status and closes the connection once that has arrived.
async fn refuse(connection: &Connection, mut answer: SendStream, status: StatusCode) {
    let response = ConnectResponse::new(status);
    let arrived = async {
        if response.write(&mut answer).await.is_ok() && answer.finish().is_ok() {
            // Acknowledged, or given up: either way there is nothing more to wait for.
            let _ = answer.stopped().await;
        }
    };
    let _ = timeout(REFUSAL_WAIT, arrived).await;
    close(connection, ErrorCode::None, "");
}
