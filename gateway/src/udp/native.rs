//! Native clients.

use std::sync::Arc;

use campanile_common::native::Preface;
use campanile_common::{Disconnect, DisconnectCode};
use quinn::{Connecting, Connection, ConnectionError, VarInt, ZeroRttAccepted};
use tokio::time::{Instant, timeout_at};

use super::counters::Outcome;
use super::dispatch::Shared;
use crate::registry::{Permit, Refusal};
use crate::transport::quic::{NativeCarrier, Opened, Unopened, open};
use crate::transport::stream::StreamTransport;
use crate::transport::{Takes, TransportKind};

/// A connection that has not begun, and what tells when its handshake is done.
struct Fresh {
    connection: Connection,
    handshake: ZeroRttAccepted,
}

/// Waits for the client's first bytes, not longer than until `latest`, and lets it in.
pub(super) async fn begin(shared: &Shared, connecting: Connecting, latest: Instant) -> Outcome {
    let Ok((connection, handshake)) = connecting.into_0rtt() else {
        unreachable!("a server can always answer before the handshake is done");
    };
    let fresh = Fresh {
        connection,
        handshake,
    };
    let opened = match timeout_at(latest, open(&fresh.connection)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(Unopened::Left)) => return fresh.left(),
        Ok(Err(Unopened::Violation(violation))) => {
            let code = DisconnectCode::BadRequest.code();
            fresh
                .turn_away(Disconnect::new(code, violation.to_string()), latest)
                .await;
            return Outcome::Malformed;
        }
        Err(_) => {
            fresh.turn_away(DisconnectCode::Stale.into(), latest).await;
            return Outcome::Stale;
        }
    };
    match shared.entrance.admit() {
        Ok(place) => {
            fresh.enter(shared, opened, place);
            Outcome::Begun
        }
        Err(refusal) => {
            fresh.turn_away(goodbye(refusal), latest).await;
            Outcome::NoPlace
        }
    }
}

impl Fresh {
    fn enter(self, shared: &Shared, opened: Opened, place: Permit) {
        if opened.is_early {
            shared.counters.early.increment(1);
        }
        let Preface {
            codec,
            lanes,
            datagrams,
        } = opened.preface;
        let takes = Takes {
            lanes: lanes && shared.stream_per_channel,
            datagrams: datagrams && self.connection.max_datagram_size().is_some(),
        };
        let counters = Arc::clone(&shared.entrance.host().counters.lanes);
        let carrier = NativeCarrier::new(self.connection, self.handshake).with_lanes(takes, codec, counters);
        let (recv, send, limit) = (opened.recv, opened.send, shared.message_size_limit);
        let transport = StreamTransport::new(carrier, recv, send, codec, limit);
        shared
            .entrance
            .begin(TransportKind::Quic, codec, transport, place);
    }

    /// How it went with a client that is no longer there.
    fn left(&self) -> Outcome {
        match self.connection.close_reason() {
            None | Some(ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed) => {
                Outcome::Left
            }
            Some(_) => Outcome::Failed,
        }
    }

    /// Closes the connection. Before the handshake is done a client could not be told why (RFC 9000 §10.2.3).
    async fn turn_away(self, disconnect: Disconnect, latest: Instant) {
        let _ = timeout_at(latest, self.handshake).await;
        let code = VarInt::from_u32(disconnect.code);
        self.connection.close(code, disconnect.reason.as_bytes());
    }
}

/// What a client is told for which there is no place; it comes back later, or elsewhere.
fn goodbye(refusal: Refusal) -> Disconnect {
    match refusal {
        Refusal::ShuttingDown => DisconnectCode::Shutdown.into(),
        Refusal::Full | Refusal::TooFast => {
            Disconnect::new(DisconnectCode::TooManyRequests.code(), refusal.to_string())
        }
    }
}
