//! How connections begin: the WebTransport endpoint.

use std::time::Duration;

use campanile_common::Codec;
use http::StatusCode;
use tokio::time::timeout;

use super::counters::Refused;
use super::entrance::Entrance;
use crate::config::WebTransportOptions;
use crate::registry::Permit;
use crate::transport::TransportKind;
use crate::transport::query::choose_codec;
use crate::transport::webtransport::{self, RequestError, SessionRequest};

/// Where clients connect over WebTransport.
pub struct WebTransportEndpoint {
    entrance: Entrance,
    options: WebTransportOptions,
}

impl WebTransportEndpoint {
    /// An endpoint through which clients come in.
    #[must_use]
    pub const fn new(entrance: Entrance, options: WebTransportOptions) -> Self {
        Self { entrance, options }
    }

    /// Takes over a QUIC connection that speaks HTTP/3, up to the task in which the client's connection then runs.
    pub async fn serve(&self, connection: quinn::Connection) {
        match timeout(self.time_limit(), SessionRequest::receive(connection.clone())).await {
            Ok(Ok(request)) => self.answer(connection, request).await,
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.too_late(&connection),
        }
    }

    async fn answer(&self, connection: quinn::Connection, request: SessionRequest) {
        let (codec, place) = match self.decide(&request) {
            Ok(decided) => decided,
            Err(status) => return request.refuse(status).await,
        };
        let accepted = request.accept(codec, self.options.message_size_limit);
        match timeout(self.time_limit(), accepted).await {
            Ok(Ok(transport)) => self
                .entrance
                .begin(TransportKind::WebTransport, codec, transport, place),
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.too_late(&connection),
        }
    }

    /// With which codec the client is let in, or the status that refuses it.
    fn decide(&self, request: &SessionRequest) -> Result<(Codec, Permit), StatusCode> {
        if request.path() != self.options.path {
            self.entrance.refused(Refused::Handshake);
            return Err(StatusCode::NOT_FOUND);
        }
        if self
            .entrance
            .check_origin(request.origin(), Some(request.host()))
            .is_err()
        {
            return Err(StatusCode::FORBIDDEN);
        }
        let Some(codec) = choose_codec(request.query()) else {
            self.entrance.refused(Refused::Handshake);
            return Err(StatusCode::BAD_REQUEST);
        };
        let place = self.entrance.admit();
        place
            .map(|place| (codec, place))
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    }

    /// How long a client may take for each step: to ask for a session, and to open the stream in it.
    fn time_limit(&self) -> Duration {
        self.entrance.host().sessions.look().client.stale_close_delay
    }

    fn failed(&self, error: &RequestError) {
        tracing::debug!(%error, "no session");
        if !matches!(error, RequestError::Gone(_)) {
            self.entrance.refused(Refused::Handshake);
        }
    }

    fn too_late(&self, connection: &quinn::Connection) {
        self.entrance.refused(Refused::Handshake);
        webtransport::abandon(connection);
    }
}
