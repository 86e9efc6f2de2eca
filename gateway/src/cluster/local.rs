//! What a gateway does with its own connections when another (or itself) asks.

use campanile_common::ChannelName;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::message::{Answer, ChannelCounts, Command, Leading, NodeInfo};
use super::survey::{Looks, Standing, Survey};
use crate::session::ServerCommand;

/// The connections of this gateway, as the cluster's commands see them.
pub trait LocalGateway: Send + Sync + 'static {
    /// Does `command` to each connection that `target` means; how many these are.
    fn command(&self, target: &Target, command: ServerCommand) -> usize;

    /// Channels that have subscribers here, and how many.
    fn channels(&self) -> Vec<(ChannelName, usize)>;

    /// The same with how far their streams are.
    fn standings(&self) -> Vec<Standing> {
        let channels = self.channels().into_iter();
        let standing = |(channel, subscribers)| Standing {
            channel,
            subscribers,
            delivered: None,
        };
        channels.map(standing).collect()
    }

    /// What there is to say about this gateway.
    fn info(&self) -> NodeInfo;

    /// What it knows as the gateway that coordinates; `None`: another one does.
    fn leading(&self) -> Option<Leading>;
}

/// Which connections are meant: those of which everything that is given here holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Target {
    /// All connections of this user; empty: of anyone.
    pub user: String,
    /// The connection of this name; empty: any.
    pub client: String,
    /// The session of this name; empty: any.
    pub session: String,
    /// Connections that are not meant.
    pub whitelist: Vec<String>,
}

/// Entries of one answer about channels at most: a gateway's share of what fits an API answer.
const MAX_CHANNELS: usize = 100_000;

/// The longest list of channels that is given to whoever wants the largest.
const MAX_LARGEST: usize = 1000;

/// Does what is asked.
pub(super) fn carry_out(local: &dyn LocalGateway, looks: &Mutex<Looks>, command: Command) -> Answer {
    let (target, command) = match command {
        Command::Disconnect { target, code, reason } => {
            let disconnect = campanile_common::Disconnect::new(code, reason);
            (target, ServerCommand::Disconnect(disconnect))
        }
        Command::Unsubscribe {
            target,
            channel,
            code,
            reason,
        } => {
            let unsubscribe = campanile_common::message::Unsubscribe { code, reason };
            (target, ServerCommand::Unsubscribe { channel, unsubscribe })
        }
        Command::Subscribe { target, subscription } => (target, subscription.into()),
        Command::Refresh { target, refresh } => (target, ServerCommand::Refresh(refresh.into())),
        Command::Channels { pattern, largest: 0 } => return channels(local, &pattern),
        Command::Channels { pattern, largest } => {
            return Answer::Survey(survey(local, looks, &pattern, largest));
        }
        Command::Info => return Answer::Info(local.info()),
        Command::Lead => return Answer::Lead(local.leading()),
    };
    Answer::Done {
        connections: local.command(&target, command),
    }
}

fn channels(local: &dyn LocalGateway, pattern: &str) -> Answer {
    let channels = local.channels().into_iter();
    let matching: ChannelCounts = channels
        .filter(|(channel, _)| pattern.is_empty() || matches(pattern, channel))
        .map(|(channel, count)| (channel.as_str().to_owned(), count))
        .take(MAX_CHANNELS + 1)
        .collect();
    if matching.len() > MAX_CHANNELS {
        Answer::TooMuch
    } else {
        Answer::Channels(matching)
    }
}

fn survey(local: &dyn LocalGateway, looks: &Mutex<Looks>, pattern: &str, largest: usize) -> Survey {
    let standings = local.standings();
    let count = largest.min(MAX_LARGEST);
    let wanted = |channel: &str| pattern.is_empty() || matches(pattern, channel);
    looks.lock().survey(Instant::now(), &standings, count, wanted)
}

/// Whether `text` is what `pattern` says: `*` stands for any text, `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on if the last star must take in one character more.
    let mut retry = None;
    loop {
        let mut rest = pattern.clone();
        match rest.next() {
            Some('*') => {
                pattern = rest;
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            Some(wanted) => {
                let mut following = text.clone();
                if following
                    .next()
                    .is_some_and(|found| wanted == '?' || wanted == found)
                {
                    (pattern, text) = (rest, following);
                    continue;
                }
            }
            None if text.as_str().is_empty() => return true,
            None => {}
        }
        let Some((after_star, taken_in)) = &mut retry else {
            return false;
        };
        if taken_in.next().is_none() {
            return false;
        }
        (pattern, text) = (after_star.clone(), taken_in.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text, expected) in [
            ("chat:*", "chat:1", true),
            ("chat:*", "news:1", false),
            ("*", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*d", "abcbd", true),
            ("*b*d", "abcb", false),
            ("a*a", "a", false),
            ("chat", "chat:1", false),
            ("?ü*", "süd", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
