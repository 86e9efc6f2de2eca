//! How a client leaves.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, SendStream, VarInt};
use tokio::time::{sleep, timeout};

use crate::Closed;

/// How long the server may take to confirm the last commands.
const CONFIRMATION: Duration = Duration::from_millis(500);

/// How often it is looked whether the goodbye has been sent, and how many times.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: usize = 100;

/// Closes `connection` with `code` and `reason`. A client that leaves for no reason of the protocol sees to it first that
/// its last commands have arrived: closing throws away what is on its way.
pub(super) async fn say(
    connection: Connection,
    way_out: Option<(SendStream, VecDeque<Bytes>)>,
    code: u32,
    reason: String,
) {
    if let Some((mut send, unsent)) = way_out.filter(|_| code == Closed::LEAVING) {
        let deliver = async {
            for piece in unsent {
                send.write_all(&piece).await.ok()?;
            }
            send.finish().ok()?;
            send.stopped().await.ok()
        };
        // One that does not confirm them gets its goodbye all the same.
        let _ = timeout(CONFIRMATION, deliver).await;
    }
    connection.close(VarInt::from_u32(code), reason.as_bytes());
    // Another task sends it. A program that ends now would take it along.
    for _ in 0..LOOKS {
        if connection.stats().frame_tx.connection_close > 0 {
            break;
        }
        sleep(LOOK).await;
    }
}
