//! Connections for coordinators' work, kept for the next piece of it: a move asks for many small ones in a row.

use std::sync::Arc;

use ::redis::{Cmd, Value};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::redis::connection::{Connection, Connector, pipeline};
use crate::redis::{grants, reply, scripts};
use crate::shard::ShardError;
use crate::topology::Incarnation;

/// How many connections without work are kept.
const IDLE: usize = 4;

/// One server's connections for coordinators' work.
pub(in crate::redis) struct Sessions {
    pub(super) connector: Arc<Connector>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection to the run that a coordinator means, asked just now, with all scripts loaded. Dropped without [`Session::done`] it is
/// closed: answers to what was sent may still come.
pub(super) struct Session {
    connection: Connection,
    sessions: Arc<Sessions>,
}

impl Sessions {
    pub(in crate::redis) fn new(connector: Arc<Connector>) -> Self {
        Self {
            connector,
            idle: Mutex::default(),
        }
    }

    /// Closes what has no work.
    pub(in crate::redis) fn close(&self) {
        self.idle.lock().clear();
    }

    pub(super) async fn open(self: &Arc<Self>, run: &Incarnation) -> Result<Session, ShardError> {
        let deadline = self.connector.deadline();
        if let Some(mut connection) = self.reuse(run)
            && connection.check(deadline).await.is_ok()
        {
            let sessions = Arc::clone(self);
            return Ok(Session { connection, sessions });
        }
        let mut connection = self.connector.connect_to(run, deadline).await?;
        let rehearsal = grants::for_admin(&self.connector.keys);
        let prepared = connection
            .prepare(scripts::load_for_admin(), rehearsal, deadline)
            .await;
        prepared.map_err(ShardError::Unavailable)?;
        Ok(Session {
            connection,
            sessions: Arc::clone(self),
        })
    }

    /// A new connection to whichever run answers, without scripts; for asking who that is.
    pub(super) async fn open_any(self: &Arc<Self>) -> Result<Session, ShardError> {
        let connecting = self.connector.connect(self.connector.deadline(), |_| ());
        Ok(Session {
            connection: connecting.await.map_err(ShardError::Unavailable)?,
            sessions: Arc::clone(self),
        })
    }

    /// A connection that was used recently; all others are closed.
    fn reuse(&self, run: &Incarnation) -> Option<Connection> {
        let mut idle = self.idle.lock();
        idle.retain(|idle| {
            idle.since.elapsed() < self.connector.check_every() && idle.connection.run == *run
        });
        idle.pop().map(|idle| idle.connection)
    }
}

impl Session {
    /// The run at the other end.
    pub(super) fn run(&self) -> &Incarnation {
        &self.connection.run
    }

    /// Leaves the connection to whoever has work next.
    pub(super) fn done(self) {
        let mut idle = self.sessions.idle.lock();
        if idle.len() < IDLE {
            idle.push(Idle {
                connection: self.connection,
                since: Instant::now(),
            });
        }
    }

    /// Sends one command; its answer.
    pub(super) async fn one(&mut self, command: Cmd) -> Result<Value, ShardError> {
        let mut answers = self.several([command]).await?;
        match answers.pop().unwrap_or(Value::Nil) {
            Value::ServerError(error) => Err(reply::server_error(&error)),
            answer => Ok(answer),
        }
    }

    /// Sends commands in one pipeline; one answer each, errors among them.
    pub(super) async fn several(
        &mut self,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<Vec<Value>, ShardError> {
        let pipeline = pipeline(commands);
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = self.sessions.connector.deadline();
        let sent = self.connection.send(&pipeline, deadline).await;
        sent.map_err(|broken| broken.unanswered())
    }
}
