//! What a gateway says of itself with each heartbeat.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::topology::{Generation, ShardId};

/// What a gateway says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// The generation that it has acknowledged: whoever moves a partition waits for it.
    pub applied: Generation,
    /// What a later acknowledgement waits for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// The shards that it cannot reach.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unreachable: BTreeSet<ShardId>,
}

impl GatewayReport {
    /// How much of an obstacle's words is kept: a sentence or two.
    const OBSTACLE_BYTES: usize = 512;

    /// A gateway that has acknowledged `generation` and has nothing else to say.
    #[must_use]
    pub fn applied(generation: Generation) -> Self {
        Self {
            applied: generation,
            ..Self::default()
        }
    }

    /// The same with an obstacle of bounded length.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Some(words) = &mut self.obstacle {
            words.truncate(words.floor_char_boundary(Self::OBSTACLE_BYTES));
        }
        self
    }

    /// The stored form.
    pub(super) fn encode(&self) -> String {
        serde_json::to_string(self).expect("a report has strings and finite numbers only")
    }

    /// Reads the stored form. What another release says and this one does not understand counts as nothing applied, so
    /// that nobody goes on without it.
    pub(super) fn decode(stored: &str) -> Self {
        serde_json::from_str(stored).unwrap_or_else(|_| Self {
            obstacle: Some("what it reports is not understood; another release may run there".to_owned()),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_their_stored_form() {
        let report = GatewayReport {
            applied: Generation(9),
            obstacle: Some("it waits for \"s1\"".to_owned()),
            unreachable: BTreeSet::from([ShardId::new("s1")]),
        };
        assert_eq!(GatewayReport::decode(&report.encode()), report);
        let short = GatewayReport::applied(Generation(9));
        assert_eq!(short.encode(), r#"{"applied":9}"#);
    }

    #[test]
    fn what_is_not_understood_has_applied_nothing() {
        for stored in ["", "7", "[]", r#"{"applied":"9"}"#] {
            let report = GatewayReport::decode(stored);
            assert_eq!(report.applied, Generation(0), "{stored}");
            assert!(report.obstacle.is_some(), "{stored}");
        }
    }

    #[test]
    fn an_obstacle_is_told_in_a_sentence_or_two() {
        let long = GatewayReport {
            obstacle: Some("ä".repeat(1000)),
            ..GatewayReport::default()
        };
        assert_eq!(long.bounded().obstacle, Some("ä".repeat(256)));
    }
}
