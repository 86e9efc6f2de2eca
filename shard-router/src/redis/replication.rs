//! What a server says of its replication.

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, Value};

use super::{identity, reply};

/// A server's part in replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replication {
    pub(crate) is_primary: bool,
    /// Whether it takes writes only while a replica follows closely: `min-replicas-to-write` and `min-replicas-max-lag`. How
    /// closely is not said.
    pub(crate) needs_replicas: bool,
}

impl Replication {
    /// The command that asks.
    pub(crate) fn question() -> Cmd {
        let mut command = ::redis::cmd("INFO");
        command.arg("replication");
        command
    }

    /// What was answered.
    pub(crate) fn read(answer: Value) -> Result<Self, String> {
        let info = identity::text(answer)?;
        let lines = || info.lines().map(str::trim);
        Ok(Self {
            is_primary: lines().any(|line| line == "role:master"),
            // Said only where both are set.
            needs_replicas: lines().any(|line| line.starts_with("min_slaves_good_slaves:")),
        })
    }

    /// Asks over a connection.
    pub(crate) async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, String> {
        let answer = connection.send_packed_command(&Self::question()).await;
        Self::read(answer.map_err(|error| reply::words(&error))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Replication {
        let info = format!("# Replication\r\n{lines}\r\nconnected_slaves:1\r\n");
        Replication::read(Value::BulkString(info.into_bytes())).unwrap()
    }

    #[test]
    fn what_a_server_needs_is_seen_by_what_it_counts() {
        let alone = read("role:master");
        assert!(alone.is_primary && !alone.needs_replicas);
        assert!(read("role:master\r\nmin_slaves_good_slaves:0").needs_replicas);
        assert!(!read("role:slave\r\nmaster_host:role:master").is_primary);
        assert!(Replication::read(Value::Int(1)).is_err());
    }
}
