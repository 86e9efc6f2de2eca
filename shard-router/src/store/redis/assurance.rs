//! Making sure of what a failover must not forget.
//!
//! A write is safe once a replica has it. One of which no replica says so in time may be lost, if the server has been replaced and
//! does not know it yet; or it is as safe as can be, if there is just no replica at the moment. So it is looked at again: it is
//! believed if most Sentinels name a server, asked after the write, which is a primary and has it.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};
use tracing::debug;

use super::Way;
use crate::redis::Replication;

/// How long a write waits for a replica: many times what one that keeps up takes.
const REPLICATION_MILLIS: u64 = 100;

/// Makes sure of writes. Where no other server can be promoted there is nothing to do.
#[derive(Debug)]
pub(super) struct Assurance(Option<Way>);

impl Assurance {
    pub(super) fn new(way: &Way) -> Self {
        Self(way.dialer.has_sentinels().then(|| way.clone()))
    }

    /// Makes sure of what was just written over `connection`: the answer to `question` shows that it is there if it `stands`.
    ///
    /// # Errors
    ///
    /// Why it may be lost, in words.
    pub(super) async fn make_sure<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        question: &Cmd,
        stands: impl FnOnce(T) -> bool,
    ) -> Result<(), String> {
        let Some(way) = &self.0 else { return Ok(()) };
        let mut wait = redis::cmd("WAIT");
        wait.arg(1).arg(REPLICATION_MILLIS);
        let replicas = wait.query_async::<i64>(connection).await;
        let replicas = replicas.map_err(|error| error.to_string())?;
        if replicas >= 1 {
            return Ok(());
        }
        debug!("no replica has confirmed a write to the topology store: it is looked at again");
        let found = look_again(way, question).await.and_then(|answer| {
            let has_it = stands(answer);
            has_it
                .then_some(())
                .ok_or_else(|| "the primary does not have it".to_owned())
        });
        found.map_err(|why| format!("no replica has confirmed a write in time, and it may be lost: {why}"))
    }
}

/// Asks the server that most Sentinels name now.
async fn look_again<T: FromRedisValue>(way: &Way, question: &Cmd) -> Result<T, String> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(way.timeout));
    let mut dialed = way.dialer.connect_to_agreed(config).await?;
    if !Replication::ask(&mut dialed.redis).await?.is_primary {
        return Err("the server that the Sentinels name is not a primary".to_owned());
    }
    let answer = question.query_async(&mut dialed.redis).await;
    answer.map_err(|error| error.to_string())
}
