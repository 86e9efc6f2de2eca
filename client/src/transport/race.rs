//! Several ways to a server, of which the first that opens is taken.

mod memory;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::addresses::staggered;
use super::{Dial, DialContext, Dialing, Transport};
use crate::OpenError;
use memory::Memory;

/// By how much one way is ahead of the next: longer than a handshake takes on most paths, and short enough not to be
/// felt by someone who must take the second way.
const HEAD_START: Duration = Duration::from_millis(300);

/// Dials several ways and takes the first that opens.
///
/// They are tried in the order in which they are liked, each 300 ms after the one before, or at once when one fails;
/// when one has opened, the others are given up. What opened is tried first for the next ten minutes: where UDP is
/// blocked, only the first connection has to wait for that to show. After that, the order is the first one again.
pub struct Race {
    ways: Vec<Box<dyn Dial>>,
    memory: Mutex<Memory>,
}

impl Race {
    /// Between `ways`, the one that is liked best first.
    #[must_use]
    pub fn new(ways: impl IntoIterator<Item = impl Dial>) -> Self {
        let ways = ways.into_iter().map(|way| Box::new(way) as Box<dyn Dial>);
        Self {
            ways: ways.collect(),
            memory: Mutex::default(),
        }
    }

    async fn run(&self, context: DialContext) -> Result<Box<dyn Transport>, OpenError> {
        let order = self.remember(|memory| memory.order(self.ways.len(), Instant::now()));
        let attempts = order.into_iter().map(|way| {
            let dialing = self.ways[way].dial(context.clone());
            async move {
                let transport = dialing
                    .await
                    .inspect_err(|error| debug!(way, %error, "a way failed"))?;
                Ok((way, transport))
            }
        });
        match staggered(attempts, HEAD_START).await {
            Ok((way, transport)) => {
                debug!(way, transport = transport.kind().label(), "a way opened");
                self.remember(|memory| memory.worked(way, Instant::now()));
                Ok(transport)
            }
            Err(errors) => Err(OpenError::Every(errors)),
        }
    }

    fn remember<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        // What was remembered is as good after a panic elsewhere as before.
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Dial for Race {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        Box::pin(self.run(context))
    }
}

#[cfg(test)]
mod tests;
