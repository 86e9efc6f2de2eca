//! Whom to believe, of Sentinels that do not say the same.
//!
//! The latest failover counts, and each has a higher configuration epoch than the one before: whoever names a lower one has
//! not heard of it yet. But an operator may have Sentinels forget a service and watch it anew, at another server perhaps,
//! and then epochs begin anew as well. So a lower (or the same) epoch is believed once more than half of the Sentinels
//! that are configured have agreed on it for some time, and the server itself says that it is a primary.

use std::time::Duration;

use tokio::time::Instant;

use super::Primary;
use crate::redis::place::Host;

/// How long a majority must say the same before a lower epoch is believed. Sentinels tell each other of a failover every two
/// seconds, and look at servers every ten: who agrees for so long has not just missed one.
pub(super) const AGREED_FOR: Duration = Duration::from_secs(10);

/// What the Sentinels of one service say, and what is believed.
#[derive(Debug)]
pub(in crate::redis) struct Council {
    /// What each says now, in the order in which they are configured; `None`: nothing.
    words: Vec<Option<Primary>>,
    believed: Option<Primary>,
    rival: Option<Rival>,
    /// What was said by those who were overruled: no news when they say it again.
    overruled: Vec<Primary>,
}

/// A server that most name, though another is believed, or the same at a higher epoch.
#[derive(Debug)]
struct Rival {
    host: Host,
    /// Since when they do, or when it was examined last.
    since: Instant,
}

impl Council {
    /// So many Sentinels that have said nothing yet.
    pub(in crate::redis) fn of(sentinels: usize) -> Self {
        Self {
            words: vec![None; sentinels],
            believed: None,
            rival: None,
            overruled: Vec::new(),
        }
    }

    /// What is believed.
    pub(in crate::redis) fn believed(&self) -> Option<&Primary> {
        self.believed.as_ref()
    }

    /// Begins with what others have come to believe.
    pub(in crate::redis) fn begin_with(&mut self, believed: Primary) {
        self.believed = Some(believed);
    }

    /// How many make a majority.
    fn majority(&self) -> usize {
        self.words.len() / 2 + 1
    }

    /// A Sentinel has said something.
    pub(in crate::redis) fn hear(&mut self, sentinel: usize, word: Primary, now: Instant) {
        if let Some(said) = self.words.get_mut(sentinel) {
            *said = Some(word.clone());
        }
        if self.is_news(&word) {
            self.believed = Some(word);
        }
        self.rival = self
            .agreed()
            .filter(|agreed| self.contradicts(agreed))
            .map(|agreed| {
                let known = self.rival.as_ref().filter(|rival| rival.host == agreed.host);
                Rival {
                    host: agreed.host.clone(),
                    since: known.map_or(now, |rival| rival.since),
                }
            });
    }

    /// What most have agreed on for long enough instead of what is believed, if it is another server: it is to be examined,
    /// and [accepted](Self::accept) if it says that it is a primary. Not given out again for as long.
    pub(in crate::redis) fn doubt(&mut self, now: Instant) -> Option<Primary> {
        let rival = self.rival.as_mut()?;
        if now.saturating_duration_since(rival.since) < AGREED_FOR {
            return None;
        }
        rival.since = now;
        let agreed = self.agreed()?.clone();
        if self
            .believed
            .as_ref()
            .is_some_and(|believed| believed.host == agreed.host)
        {
            // The next failover will be above this epoch, and perhaps not above the one before.
            self.believed = Some(agreed);
            self.rival = None;
            return None;
        }
        Some(agreed)
    }

    /// A Sentinel is not listened to any more: it says nothing.
    pub(in crate::redis) fn miss(&mut self, sentinel: usize) {
        if let Some(said) = self.words.get_mut(sentinel) {
            *said = None;
        }
    }

    /// Nobody has been listened to for a while.
    pub(in crate::redis) fn adjourn(&mut self) {
        self.words.fill(None);
        self.rival = None;
    }

    /// The server that was to be examined is a primary. It is believed if most still say so.
    pub(in crate::redis) fn accept(&mut self, examined: &Primary) {
        if let Some(agreed) = self.agreed().filter(|agreed| agreed.host == examined.host) {
            let agreed = agreed.clone();
            let before = self.words.iter().flatten().chain(&self.believed);
            self.overruled = before.filter(|word| word.host != agreed.host).cloned().collect();
            self.believed = Some(agreed);
            self.rival = None;
        }
    }

    /// Whether a word tells of a later failover than is known of, or the same again.
    fn is_news(&self, word: &Primary) -> bool {
        let Some(believed) = &self.believed else {
            return true;
        };
        if word.says_the_same_as(believed) {
            return true;
        }
        let was_overruled = self.overruled.iter().any(|old| old.says_the_same_as(word));
        word.epoch > believed.epoch && (!was_overruled || self.is_named_by_most(&word.host))
    }

    fn contradicts(&self, agreed: &Primary) -> bool {
        let believed = self.believed.as_ref();
        believed.is_none_or(|believed| agreed.host != believed.host || agreed.epoch < believed.epoch)
    }

    /// The latest of what is said of the server that most name, if there is one.
    fn agreed(&self) -> Option<&Primary> {
        let said = self.words.iter().flatten();
        said.filter(|word| self.is_named_by_most(&word.host))
            .max_by_key(|word| word.epoch)
    }

    fn is_named_by_most(&self, host: &Host) -> bool {
        let said = self.words.iter().flatten();
        said.filter(|word| word.host == *host).count() >= self.majority()
    }
}

#[cfg(test)]
mod tests;
