//! From an address to an open connection.

use std::net::SocketAddr;

use bytes::Bytes;
use campanile_common::native::Preface;
use futures_util::future::join;
use quinn::{ClientConfig, Connecting, Connection, ConnectionError, RecvStream, SendStream, ZeroRttAccepted};
use tracing::trace;

use super::endpoints::Endpoints;
use super::stats::{Counters, count};
use crate::OpenError;

/// An attempt to open a connection.
pub(super) struct Attempt<'a> {
    pub(super) config: ClientConfig,
    pub(super) server_name: &'a str,
    pub(super) preface: Preface,
    pub(super) first: Option<Bytes>,
    pub(super) early_data: bool,
    pub(super) counters: &'a Counters,
}

/// An open connection.
pub(super) struct Established {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    /// What is to be sent first.
    pub(super) unsent: Vec<Bytes>,
}

impl Attempt<'_> {
    /// Opens a connection to `address`. When it is open, the server has proved who it is, whatever was sent before.
    pub(super) async fn open(
        self,
        endpoints: &Endpoints,
        address: SocketAddr,
    ) -> Result<Established, OpenError> {
        let connecting = endpoints.connect(&self.config, address, self.server_name)?;
        let outcome = self.establish(connecting).await;
        outcome.map_err(|error| handshake_error(error, address))
    }

    async fn establish(self, connecting: Connecting) -> Result<Established, ConnectionError> {
        if self.first.is_none() || !self.early_data {
            return self.begin(connecting.await?).await;
        }
        match connecting.into_0rtt() {
            Ok((connection, accepted)) => self.begin_early(connection, accepted).await,
            Err(connecting) => self.begin(connecting.await?).await,
        }
    }

    /// Over a connection whose handshake is done.
    async fn begin(self, connection: Connection) -> Result<Established, ConnectionError> {
        let (send, recv) = connection.open_bi().await?;
        let preface = Bytes::copy_from_slice(&self.preface.encode());
        Ok(Established {
            connection,
            send,
            recv,
            unsent: [preface].into_iter().chain(self.first).collect(),
        })
    }

    /// Over one whose handshake is under way, and goes along with the first command. If the server does not take that
    /// early, it is as if it had not been sent.
    async fn begin_early(
        self,
        connection: Connection,
        accepted: ZeroRttAccepted,
    ) -> Result<Established, ConnectionError> {
        let write = async {
            let (mut send, recv) = connection.open_bi().await.ok()?;
            send.write_all(&self.preface.encode()).await.ok()?;
            send.write_all(self.first.as_deref()?).await.ok()?;
            Some((send, recv))
        };
        let (written, accepted) = join(write, accepted).await;
        if let Some(error) = connection.close_reason() {
            return Err(error);
        }
        if let (Some((send, recv)), true) = (written, accepted) {
            trace!("early data was accepted");
            count(&self.counters.early_data_accepted);
            return Ok(Established {
                connection,
                send,
                recv,
                unsent: Vec::new(),
            });
        }
        trace!("early data was not accepted");
        count(&self.counters.early_data_refused);
        self.begin(connection).await
    }
}

fn handshake_error(error: ConnectionError, address: SocketAddr) -> OpenError {
    match error {
        ConnectionError::TimedOut => OpenError::Connect {
            address: address.to_string(),
            source: std::io::ErrorKind::TimedOut.into(),
        },
        error => OpenError::Handshake(error.into()),
    }
}
