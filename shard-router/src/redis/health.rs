//! What is known of a shard's connections, in one place for its status.

use parking_lot::Mutex;

use crate::shard::{ShardError, ShardStatus};
use crate::topology::Incarnation;

/// The state of every connection of one shard, by its slot.
pub(super) struct Health(Mutex<Vec<ConnectionState>>);

/// One connection's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// In use, on the trusted run.
    Up,
    /// Another run answered.
    Untrusted(Incarnation),
    /// Not there, with the reason in words.
    Down(String),
}

impl Health {
    pub(super) fn new(connections: usize) -> Self {
        Self(Mutex::new(vec![
            ConnectionState::Down(
                "not connected yet".to_owned()
            );
            connections
        ]))
    }

    /// Sets a connection's state; true if that is news.
    pub(super) fn set(&self, slot: usize, state: ConnectionState) -> bool {
        let mut states = self.0.lock();
        let news = states[slot] != state;
        states[slot] = state;
        news
    }

    /// Why a connection cannot be used now.
    pub(super) fn check(&self, slot: usize) -> Result<(), ShardError> {
        match &self.0.lock()[slot] {
            ConnectionState::Up => Ok(()),
            ConnectionState::Untrusted(run) => {
                Err(ShardError::Unavailable(format!("the run {run} is not trusted")))
            }
            ConnectionState::Down(why) => Err(ShardError::Unavailable(why.clone())),
        }
    }

    /// The shard's state: as good as its worst connection's.
    pub(super) fn status(&self) -> ShardStatus {
        let states = self.0.lock();
        let mut status = ShardStatus::Connected;
        for state in states.iter() {
            match state {
                ConnectionState::Up => {}
                ConnectionState::Untrusted(run) => status = ShardStatus::Untrusted(run.clone()),
                ConnectionState::Down(why) => return ShardStatus::Unreachable(why.clone()),
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_as_good_as_its_worst_connection() {
        let health = Health::new(3);
        assert!(matches!(health.status(), ShardStatus::Unreachable(_)));
        assert!(health.check(0).is_err());
        for slot in 0..3 {
            assert!(health.set(slot, ConnectionState::Up));
            assert!(!health.set(slot, ConnectionState::Up));
        }
        assert_eq!(health.status(), ShardStatus::Connected);
        let run = Incarnation::new("r");
        health.set(1, ConnectionState::Untrusted(run.clone()));
        assert_eq!(health.status(), ShardStatus::Untrusted(run));
        health.set(2, ConnectionState::Down("gone".to_owned()));
        assert_eq!(health.status(), ShardStatus::Unreachable("gone".to_owned()));
        assert!(health.check(0).is_ok() && health.check(1).is_err() && health.check(2).is_err());
    }
}
