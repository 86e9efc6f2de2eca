//! Keeping a connection up: connect to the trusted run, use it while it lasts, wait, connect again.

use std::future::Future;

use tokio::sync::watch;

use super::connection::Backoff;
use super::context::TaskContext;
use super::health::ConnectionState;
use super::queue::Requests;
use crate::shard::intent::Intent;

/// A kind of connection that is kept up.
pub(super) trait Life: Send + 'static {
    /// What a request asks for.
    type Work: Send + 'static;
    /// What it is answered.
    type Answer: Send + 'static;
    /// A connection that is ready for use.
    type Established: Send;

    /// Makes a connection to the run that is trusted, or says what was found instead.
    fn connect(
        &self,
        intent: Intent,
    ) -> impl Future<Output = Result<Self::Established, ConnectionState>> + Send + use<Self>
    where
        Self: Sized;

    /// Uses the connection until it can no longer be used or `intent` changes; says why.
    fn live(
        &mut self,
        established: Self::Established,
        intent: &mut watch::Receiver<Intent>,
        requests: &mut Requests<Self::Work, Self::Answer>,
    ) -> impl Future<Output = String> + Send;
}

/// Keeps a connection up until the shard is closed.
pub(super) async fn keep_up<L: Life>(
    mut life: L,
    context: TaskContext,
    slot: usize,
    mut requests: Requests<L::Work, L::Answer>,
) {
    let mut backoff = Backoff::default();
    let mut intents = context.intent.clone();
    loop {
        let intent = intents.borrow_and_update().clone();
        if intent.closed {
            break;
        }
        let connecting = unless_changed(&intents, life.connect(intent));
        // Another run is to be trusted now: what would have been found is no news.
        let Some(found) = requests.refuse_during(connecting).await else {
            continue;
        };
        let state = match found {
            Ok(established) => {
                backoff.succeeded();
                ConnectionState::Down(life.live(established, &mut intents, &mut requests).await)
            }
            Err(state) => state,
        };
        context.report(slot, state);
        let wait = tokio::time::sleep(backoff.failed());
        let _ = requests.refuse_during(unless_changed(&intents, wait)).await;
    }
    context.report(slot, ConnectionState::Down("the shard is closed".to_owned()));
    requests.close().await;
}

/// Awaits `future`, unless the intent becomes another than was last seen.
async fn unless_changed<T>(intent: &watch::Receiver<Intent>, future: impl Future<Output = T>) -> Option<T> {
    let mut intent = intent.clone();
    tokio::select! {
        biased;
        _ = intent.changed() => None,
        output = future => Some(output),
    }
}
