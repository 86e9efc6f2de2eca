//! How a native connection begins.

use campanile_common::native::Preface;
use quinn::{Connection, ReadExactError, RecvStream, SendStream};

use crate::transport::stream::Violation;

/// The priority of the first stream over those of channels, whose priority is 0: what it carries is awaited.
const CONTROL_PRIORITY: i32 = 1;

/// The stream that a client has opened, at its first message.
#[derive(Debug)]
pub struct Opened {
    /// What the client said before it.
    pub preface: Preface,
    /// To the client.
    pub send: SendStream,
    /// From the client.
    pub recv: RecvStream,
    /// Whether it was opened before the handshake was done.
    pub is_early: bool,
}

/// Why a client has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// It left before.
    #[error("the client left without a word")]
    Left,
    /// It began with something else.
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// Waits for the client's stream and its first two bytes.
pub async fn open(connection: &Connection) -> Result<Opened, Unopened> {
    let (send, mut recv) = connection.accept_bi().await.map_err(|_| Unopened::Left)?;
    let mut bytes = [0; Preface::LENGTH];
    recv.read_exact(&mut bytes).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) => Unopened::Violation(Violation::Preface),
        ReadExactError::ReadError(_) => Unopened::Left,
    })?;
    let preface = Preface::decode(bytes).ok_or(Violation::Preface)?;
    // It fails only where the stream is gone, which is noticed as soon as something is written to it.
    let _ = send.set_priority(CONTROL_PRIORITY);
    Ok(Opened {
        preface,
        is_early: recv.is_0rtt(),
        send,
        recv,
    })
}
