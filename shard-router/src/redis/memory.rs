//! What a server says of its memory, and what follows.

use std::time::Duration;

use ::redis::{Cmd, Value};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::identity;

/// How often it is said that a server is full.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The one policy under which nothing is lost.
const KEEPS_ALL: &str = "noeviction";

/// What the server does when its memory is used up.
pub(crate) struct MemoryLimits {
    policy: String,
}

impl MemoryLimits {
    /// The command that asks.
    pub(crate) fn question() -> Cmd {
        let mut command = ::redis::cmd("INFO");
        command.arg("memory");
        command
    }

    /// What was answered; `None`: the server does not say.
    pub(crate) fn read(answer: Value) -> Option<Self> {
        let info = identity::text(answer).ok()?;
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))?;
        Some(Self {
            policy: policy.trim().to_owned(),
        })
    }

    /// The policy, if it may throw away what is needed.
    pub(crate) fn dangerous_policy(&self) -> Option<&str> {
        (self.policy != KEEPS_ALL).then_some(self.policy.as_str())
    }
}

/// Says now and then that a server is full.
#[derive(Default)]
pub(super) struct Complaints(Mutex<Option<Instant>>);

impl Complaints {
    /// Whether it is time to say it (again).
    pub(super) fn are_due(&self) -> bool {
        let (mut last, now) = (self.0.lock(), Instant::now());
        let due = last.is_none_or(|last| now.duration_since(last) >= SAY_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_policy_keeps_everything() {
        let read = |policy: &str| {
            let info = format!("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n");
            MemoryLimits::read(Value::BulkString(info.into_bytes()))
        };
        assert_eq!(read("noeviction").unwrap().dangerous_policy(), None);
        for policy in ["allkeys-lru", "volatile-ttl"] {
            assert_eq!(read(policy).unwrap().dangerous_policy(), Some(policy));
        }
        assert!(MemoryLimits::read(Value::BulkString(b"used_memory:1\r\n".to_vec())).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_server_is_full_is_said_now_and_then() {
        let complaints = Complaints::default();
        assert!(complaints.are_due());
        assert!(!complaints.are_due());
        tokio::time::advance(SAY_EVERY).await;
        assert!(complaints.are_due());
    }
}
