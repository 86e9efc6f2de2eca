//! What a gateway does with its own connections when another (or itself) asks.

use tokio::time::Instant;

use super::message::{Answer, ChannelCounts, Command, Leading, NodeInfo};
use super::survey::{Looks, Standing};
use crate::session::ServerCommand;

/// The connections of this gateway, as the cluster's commands see them.
pub trait LocalGateway: Send + Sync + 'static {
    /// Does `command` to each connection that `target` means; how many these are.
    fn command(&self, target: &Target, command: ServerCommand) -> usize;

    /// Shows every channel that has subscribers here. Takes as long as there are channels.
    fn visit_channels(&self, visit: &mut dyn FnMut(Standing));

    /// What there is to say about this gateway. Takes as long as there are channels.
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

/// What is asked for.
pub(super) enum Task {
    /// Something that is done at once.
    Quick(Answer),
    /// Something for which all channels are looked at.
    Walk(Walk),
}

/// What is looked for among all channels.
#[derive(Debug)]
pub(super) enum Walk {
    /// All that match the pattern.
    Channels(String),
    /// As many of those that match it, the largest and the busiest.
    Survey(String, usize),
    /// How many there are, and what else there is to say.
    Info,
}

/// Does what is asked, unless it takes long.
pub(super) fn carry_out(local: &dyn LocalGateway, command: Command) -> Task {
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
        Command::Channels { pattern, largest: 0 } => return Task::Walk(Walk::Channels(pattern)),
        Command::Channels { pattern, largest } => return Task::Walk(Walk::Survey(pattern, largest)),
        Command::Info => return Task::Walk(Walk::Info),
        Command::Lead => return Task::Quick(Answer::Lead(local.leading())),
    };
    Task::Quick(Answer::Done {
        connections: local.command(&target, command),
    })
}

impl Walk {
    /// Looks at all channels, which is not for a thread that serves connections.
    pub(super) fn take(&self, local: &dyn LocalGateway, looks: &mut Looks) -> Answer {
        match self {
            Self::Channels(pattern) => channels(local, pattern),
            Self::Survey(pattern, largest) => {
                let mut survey = looks.begin(Instant::now(), (*largest).min(MAX_LARGEST));
                local.visit_channels(&mut |standing| {
                    let is_wanted = is_meant(pattern, &standing.channel);
                    survey.see(standing, is_wanted);
                });
                Answer::Survey(survey.finish())
            }
            Self::Info => Answer::Info(local.info()),
        }
    }
}

fn channels(local: &dyn LocalGateway, pattern: &str) -> Answer {
    let mut found = ChannelCounts::new();
    local.visit_channels(&mut |standing| {
        if found.len() <= MAX_CHANNELS && is_meant(pattern, &standing.channel) {
            found.insert(standing.channel.as_str().to_owned(), standing.subscribers);
        }
    });
    if found.len() > MAX_CHANNELS {
        Answer::TooMuch
    } else {
        Answer::Channels(found)
    }
}

fn is_meant(pattern: &str, channel: &str) -> bool {
    pattern.is_empty() || matches(pattern, channel)
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
